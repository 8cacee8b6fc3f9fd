import type { MemoryIndex } from '../../processors/memory-index.ts'
import type { Manifest, Marker } from '../../processors/vector-index.ts'
import { isOlderProgress } from '../../schemas/progress-order.ts'
import type { DeadLetter, Document, Progress, Receipt } from '../../schemas/records.ts'
import { deadLetters, documents, inbox, indexed, progress, vectors } from '../../schemas/topics.ts'
import type { NewRecord, Position } from '../../streams/broker.ts'
import { Reject } from '../../streams/errors.ts'
import { isLowKey, nameIn } from '../../streams/topic.ts'
import { Broken } from './broken.ts'
import { Ingested } from './ingested.ts'
import { BLANK, type Material } from './material.ts'
import { PARTITIONS } from './story.ts'

/** A record of `documents`: its text; null where it deletes, or can never be embedded. */
export interface Revision {
  readonly key: string
  readonly offset: number
  readonly text: string | null
  readonly isPoison: boolean
}

/** What must hold after every step, told each change and looking at once. Source: the invariants I2 to I7 of the design. */
export class Promises {
  readonly #material: Material
  readonly #store: MemoryIndex
  /** By partition. Everything that was ever appended, whatever compaction has removed since. */
  readonly documents: Revision[][] = Array.from({ length: PARTITIONS }, () => [])
  readonly accepted: (string | null)[][] = []
  readonly #vectors: { key: string; offset: number; revision: number }[][] = this.documents.map(() => [])
  readonly #emitted: Set<number>[] = this.documents.map(() => new Set())
  readonly #receipts = new Set<string>()
  readonly #answered = new Set<string>()
  readonly letters = new Map<string, number>()
  readonly #seen = new Map<string, number>()
  readonly #markers = new Map<number, Marker>()
  /** After a restore: what each key must come to again before the watermarks may be believed. */
  readonly #owed = new Map<string, number>()
  readonly #partitions = new Map<string, number>()
  /** What counts of `progress`, by partition. */
  readonly #told = new Map<number, Progress>()
  /** Partitions of which what lies last does not count. */
  readonly #talkedOver = new Set<number>()
  /** Of each marker that the index ever had, by partition and when it was written: after how many restores. */
  readonly #written = new Map<string, number>()
  /** Records of `progress` that do not count, since what was said later came before them. */
  talkedOver = 0
  /** What became of `inbox`. */
  readonly ingested = new Ingested(`id of ${inbox.name}`)
  records = 0
  #restores = 0

  constructor(material: Material, store: MemoryIndex) {
    this.#material = material
    this.#store = store
  }

  async appended(records: readonly NewRecord[], positions: readonly Position[]): Promise<void> {
    const { scope } = this.#material
    for (const [i, record] of records.entries()) {
      this.records++
      const { partition, offset } = positions[i]!
      if (record.topic === nameIn(scope, inbox)) this.ingested.sent(record, positions[i]!)
      else if (record.topic === nameIn(scope, documents)) await this.#document(record, partition, offset)
      else if (record.topic === nameIn(scope, vectors)) await this.#vector(record, partition, offset)
      else if (record.topic === nameIn(scope, indexed)) await this.#receipt(record)
      else if (record.topic === nameIn(scope, progress)) await this.#progress(record)
      else if (record.topic === nameIn(scope, deadLetters)) await this.#letter(record)
    }
  }

  async #document(record: NewRecord, partition: number, offset: number): Promise<void> {
    const { key, value } = record
    this.ingested.came(record)
    const read = value === null ? null : await this.#read(value)
    const isPoison = read === undefined || read?.text === BLANK
    this.#partitions.set(key!, partition)
    this.documents[partition]!.push({ key: key!, offset, text: isPoison ? null : (read?.text ?? null), isPoison })
  }

  async #read(value: Buffer): Promise<Document | undefined> {
    try {
      return (await this.#material.serde.decode(documents, value)) as Document
    } catch (error) {
      if (error instanceof Reject) return undefined
      throw error
    }
  }

  /** What is carried as `low` has all been emitted before. */
  async #vector({ key, value, headers = {} }: NewRecord, partition: number, offset: number): Promise<void> {
    if (isLowKey(Buffer.from(key!))) {
      this.#passed(partition, await this.#material.serde.decodeLow(vectors, value!), 'a progress record')
      return
    }
    const revision = Number(String(headers.position).split(':')[1])
    this.#emitted[partition]!.add(revision)
    this.#vectors[partition]!.push({ key: key!, offset, revision })
    this.#passed(partition, Number(String(headers.low)), `the record of ${key} at ${revision}`)
  }

  #passed(partition: number, low: number, where: string): void {
    const missing = this.documents[partition]!.find(
      ({ offset }) => offset <= low && !this.#emitted[partition]!.has(offset),
    )
    if (missing !== undefined)
      throw new Broken(
        'the watermark in vectors passes what was not emitted',
        `${where} says ${low} in partition ${partition}, and ${missing.key} at ${missing.offset} is not in vectors`,
      )
  }

  async #receipt({ value }: NewRecord): Promise<void> {
    const { partition, offset, vectorsOffset } = (await this.#material.serde.decode(indexed, value!)) as Receipt
    this.#receipts.add(`${partition}/${vectorsOffset}`)
    this.#answered.add(`${partition}/${offset}`)
  }

  async #letter({ value }: NewRecord): Promise<void> {
    const letter = (await this.#material.serde.decode(deadLetters, value!)) as DeadLetter
    const { stage, topicId, partition, offset } = letter
    const id = `${stage} ${topicId}/${partition}@${offset}`
    this.letters.set(id, (this.letters.get(id) ?? 0) + 1)
    if (letter.topic === inbox.name) this.ingested.rejected(partition, offset)
    const revision = this.documents[partition]!.find((each) => each.offset === offset)
    if (letter.topic === documents.name && revision?.isPoison !== true)
      throw new Broken('a sound record became a dead letter', `${id}: ${letter.reason}`)
    if (letter.topic !== documents.name && letter.topic !== inbox.name)
      throw new Broken('a sound record became a dead letter', `${id}: ${letter.reason}`)
  }

  /** What is published is true of the index as it is now. */
  async #progress({ value }: NewRecord): Promise<void> {
    const told = (await this.#material.serde.decode(progress, value!)) as Progress
    const { partition, low } = told
    const before = this.#told.get(partition)
    if (before !== undefined && isOlderProgress(told, before)) {
      this.talkedOver++
      this.#talkedOver.add(partition)
      return
    }
    this.#talkedOver.delete(partition)
    this.#told.set(partition, told)
    const restores = this.#written.get(nameOf(told))
    if (restores === undefined)
      throw new Broken('progress says what the index did not', `low ${low} in partition ${partition}`)
    if (before !== undefined && low < before.low && restores === this.#written.get(nameOf(before)))
      throw new Broken('a watermark goes back', `in partition ${partition} from ${before.low} to ${low}`)
    if (!this.#behind(partition)) this.#applied(partition, told, 'progress')
  }

  published(partition: number): { readonly written: number; readonly isTalkedOver: boolean } {
    return { written: this.#told.get(partition)?.written ?? 0, isTalkedOver: this.#talkedOver.has(partition) }
  }

  #applied(partition: number, { low, applied }: { low: number; applied: number }, where: string): void {
    for (const { key, offset, revision } of this.#vectors[partition]!)
      if (offset <= applied && this.#present(key) < revision)
        throw new Broken(
          `${where} passes unapplied work`,
          `partition ${partition} is said to be applied up to ${applied}, and the index has ${key} at ${this.#present(key)}, not ${revision}`,
        )
    for (const { key, offset } of this.documents[partition]!)
      if (offset <= low && this.#present(key) < offset)
        throw new Broken(
          `${where} passes unapplied work`,
          `low of partition ${partition} is said to be ${low}, and the index has ${key} at ${this.#present(key)}, not ${offset}`,
        )
  }

  #present(key: string): number {
    return this.#store.present.get(key)?.fence.offset ?? -1
  }

  #isOwed(key: string): boolean {
    return this.#present(key) < (this.#owed.get(key) ?? -1)
  }

  #behind(partition: number): boolean {
    for (const [key, owed] of this.#owed) {
      if (this.#present(key) >= owed) this.#owed.delete(key)
      else if (this.#partitions.get(key) === partition) return true
    }
    return false
  }

  /** A reader looks at everything, after each element of each request. */
  changed(): void {
    const served = Map.groupBy(this.#store.served(), ({ key }) => key)
    for (const [key, manifest] of this.#store.present) {
      const { offset } = manifest.fence
      const before = this.#seen.get(key) ?? -1
      if (offset < before) throw new Broken('a document goes back', `${key} from ${before} to ${offset}`)
      this.#seen.set(key, offset)
      this.#whole(manifest, served.get(key) ?? [])
    }
    for (const [partition, marker] of this.#store.markers) {
      if (this.#markers.get(partition) === marker) continue
      this.#markers.set(partition, marker)
      this.#written.set(nameOf(marker), this.#restores)
      this.#applied(partition, marker, 'the marker')
    }
  }

  #whole(manifest: Manifest, served: readonly { ordinal: number; text: string; vector: Buffer }[]): void {
    const { key, fence, content } = manifest
    const revision = this.documents[this.#partitions.get(key)!]!.find(({ offset }) => offset === fence.offset)
    const text = revision?.text ?? null
    const expected = text === null ? [] : this.#material.chunksOf(text)
    if (expected.length === 0 && (content !== null || served.length > 0))
      throw new Broken('a deleted document is served', `${key} at ${fence.offset}`)
    const place = `${key} at ${fence.offset}, whose content is of ${content?.offset ?? 'nothing'}`
    // A settling that was decided before a restore may take from the copy what is owed to it anyway.
    if (served.length < expected.length && !this.#isOwed(key))
      throw new Broken('chunks are missing', `${place}: ${served.length} of ${expected.length}`)
    if (served.length > expected.length)
      throw new Broken('a document is mixed', `${place}: ${served.length} chunks, and ${expected.length} belong there`)
    for (const chunk of served) {
      const { text } = expected[chunk.ordinal]!
      if (chunk.text !== text) throw new Broken('a document is mixed', `${place}: chunk ${chunk.ordinal}`)
      if (!bytesOf(this.#material.vectorOf(text)).equals(chunk.vector))
        throw new Broken('a vector is not its text’s', `${place}: chunk ${chunk.ordinal}`)
    }
  }

  /** The index was replaced by an older copy: a reader begins anew, and what was there is owed. */
  restored(before: ReadonlyMap<string, number>): void {
    for (const [key, offset] of before) this.#owed.set(key, Math.max(offset, this.#owed.get(key) ?? -1))
    this.#seen.clear()
    this.#markers.clear()
    for (const [partition, marker] of this.#store.markers) this.#markers.set(partition, marker)
    this.#restores++
  }

  /** Nothing is committed whose receipt, or whose record in `vectors`, is not there. */
  committed(group: string, positions: readonly Position[]): void {
    for (const { topic, partition, offset: next } of positions) {
      if (topic === nameIn(this.#material.scope, vectors)) {
        const missing = this.#vectors[partition]!.find(
          ({ offset }) => offset < next && !this.#receipts.has(`${partition}/${offset}`),
        )
        if (missing !== undefined)
          throw new Broken(
            'a commit passes receipts',
            `${group} at ${partition}@${next}, no receipt of ${missing.offset}`,
          )
      } else if (topic === documents.name) {
        const missing = this.documents[partition]!.find(
          ({ offset }) => offset < next && !this.#emitted[partition]!.has(offset),
        )
        if (missing !== undefined)
          throw new Broken(
            'a commit passes what was emitted',
            `${group} at ${partition}@${next}, not ${missing.offset}`,
          )
      }
    }
  }

  /** At rest: what is served is what the pipeline would write for the latest documents, and every offset is accounted for. */
  atRest(topicId: string): void {
    for (const [partition, revisions] of this.documents.entries()) {
      const latest = new Map(revisions.map((revision) => [revision.key, revision]))
      for (const { key, offset } of latest.values())
        if (this.#present(key) !== offset)
          throw new Broken('at rest a document is not the latest', `${key} is at ${this.#present(key)}, not ${offset}`)
      for (const { key, offset, isPoison } of revisions) {
        if (!this.#answered.has(`${partition}/${offset}`))
          throw new Broken('an offset has no receipt', `${key} at ${partition}@${offset}`)
        if (isPoison && !this.letters.has(`embed-documents ${topicId}/${partition}@${offset}`))
          throw new Broken('a rejected record has no dead letter', `${key} at ${partition}@${offset}`)
      }
    }
    for (const [partition, marker] of this.#store.markers) {
      const { low } = this.#told.get(partition) ?? { low: -1 }
      if (this.#talkedOver.has(partition))
        throw new Broken('at rest a watermark that was overtaken lies last', `in partition ${partition}`)
      if (low !== marker.low)
        throw new Broken('at rest progress is not what the index says', `${partition}: ${low}, not ${marker.low}`)
    }
    for (const key of this.#store.present.keys())
      if (!this.#partitions.has(key)) throw new Broken('an orphan is in the index', key)
    this.changed()
  }

  get garbage(): number {
    return this.#store.chunks.size - this.#store.served().length
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array): Buffer =>
  Buffer.from(buffer, byteOffset, byteLength)

/** Numbers of markers are given again by an owner whose clock is behind, once an older copy is back. */
const nameOf = ({
  partition,
  written,
  low,
  applied,
}: Pick<Marker, 'partition' | 'written' | 'low' | 'applied'>): string => `${partition} ${written} ${low} ${applied}`
