import { SOURCE } from '../../processors/ingest-documents.ts'
import type { NewRecord, Position } from '../../streams/broker.ts'
import { Broken } from './broken.ts'

/** What becomes of the records of `inbox`: each is one record of `documents` or one dead letter, in the order of its partition. */
export class Ingested {
  readonly #topicId: string
  readonly #open = new Map<string, string>()
  readonly #done = new Set<string>()
  /** By partition of `inbox`. */
  readonly #last = new Map<string, number>()

  constructor(topicId: string) {
    this.#topicId = topicId
  }

  /** A record that is not there yet at the other end; null: there is none. */
  get open(): string | null {
    const [first] = this.#open
    return first === undefined ? null : `${first[1]} at inbox/${first[0]}`
  }

  sent({ key }: NewRecord, { partition, offset }: Position): void {
    this.#open.set(`${partition}/${offset}`, key ?? '')
  }

  /** A record of `documents`. */
  came({ key, headers = {} }: NewRecord): void {
    const source = headers[SOURCE]
    if (source === undefined) return
    const place = String(source).slice(this.#topicId.length + 1)
    const [partition, offset] = place.split('/') as [string, string]
    const last = this.#last.get(partition) ?? -1
    this.#over(place, `${key} in documents`)
    if (Number(offset) < last) throw new Broken('a record of inbox was overtaken', `${key}, of ${place}, by ${last}`)
    this.#last.set(partition, Number(offset))
  }

  rejected(partition: number, offset: number): void {
    this.#over(`${partition}/${offset}`, 'a dead letter')
  }

  #over(place: string, what: string): void {
    if (this.#done.has(place)) throw new Broken('a record of inbox came twice', `${what}, of ${place}`)
    this.#done.add(place)
    this.#open.delete(place)
  }
}
