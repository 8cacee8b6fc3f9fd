import { differenceOf } from '../../../search/result-diff.ts'
import { type Found, findAll, type Where, whereItServes } from '../finding.ts'
import { OperationError } from '../protocol.ts'
import { hitOf } from '../searching.ts'
import { type Entry, isFull, watchOf } from './entry.ts'
import { ShownContents } from './shown-contents.ts'
import type { StandingPorts } from './standing-queries.ts'
import { TermWeights } from './term-weights.ts'
import type { ChangedDocument, TouchIndex } from './touch-index.ts'

/** How an evaluation ended: it is as the index is, or it may not be since what changed while it was evaluated touches it, or it failed. */
export type Outcome = 'done' | 'touched meanwhile' | Error

/** Several standing queries that are searched for together. */
interface Batch {
  readonly tenants: ReadonlySet<string>
  /** What has changed since it began: what it touches is not known before it ends. */
  readonly meanwhile: ChangedDocument[]
}

/** Searches for standing queries, and puts what is found into them and into the touch index. */
export class Evaluations {
  readonly #ports: StandingPorts
  readonly #touch: TouchIndex<Entry>
  readonly #signal: AbortSignal
  readonly #underWay = new Set<Batch>()
  readonly #weights: TermWeights
  readonly #contents = new ShownContents()

  constructor(ports: StandingPorts, touch: TouchIndex<Entry>, signal: AbortSignal) {
    this.#ports = ports
    this.#touch = touch
    this.#signal = signal
    this.#weights = new TermWeights(ports.clock)
  }

  get underWay(): number {
    return this.#underWay.size
  }

  areOf(tenant: string): boolean {
    for (const { tenants } of this.#underWay) if (tenants.has(tenant)) return true
    return false
  }

  changed(document: ChangedDocument): void {
    for (const { tenants, meanwhile } of this.#underWay) if (tenants.has(document.tenant)) meanwhile.push(document)
  }

  replaced(): void {
    this.#weights.forget()
  }

  /** Resolves with the outcome of each, in order. Never rejects. */
  async evaluate(entries: readonly Entry[]): Promise<readonly Outcome[]> {
    const batch: Batch = { tenants: new Set(entries.map(({ reader }) => reader.tenant)), meanwhile: [] }
    this.#underWay.add(batch)
    try {
      const ready = async () => {}
      const { value, ...where } = await whereItServes({ ...this.#ports, ready }, this.#signal, async ({ index }) => {
        const found = await findAll(index, entries, this.#contents)
        const full = entries.filter((entry, i) => isFound(found[i]!) && isFull(entry, found[i]))
        const weights = full.length === 0 ? [] : await this.#weights.of(full, index)
        return { found, weights: new Map(full.map((entry, i) => [entry, weights[i]!])) }
      })
      return entries.map((entry, i) => {
        const found = value.found[i]!
        if (!isFound(found)) return found
        this.#put(entry, found, where)
        this.#touch.set(entry, watchOf(entry, found, value.weights.get(entry) ?? null))
        const isTouched = batch.meanwhile.some((document) => this.#touch.touches(entry, document))
        return isTouched ? 'touched meanwhile' : 'done'
      })
    } catch (error) {
      return entries.map(() => error as Error)
    } finally {
      this.#underWay.delete(batch)
    }
  }

  #put(entry: Entry, { taken }: Found, { asOf }: Where): void {
    const before = entry.query.state
    const present = new Map(before?.hits.map((hit) => [hit.hitId, hit]))
    const hits = taken.map((each) => {
      const hit = hitOf(each, entry.reader.tenant)
      const same = present.get(hit.hitId)
      // The same object says the same: it is held once for all states that have it.
      return same !== undefined && same.score === hit.score && differenceOf([same], [hit]).length === 0 ? same : hit
    })
    entry.query.found(hits, asOf, before === null || differenceOf(before.hits, hits).length > 0)
    entry.contents = taken.flatMap(({ id }) => this.#contents.get(id) ?? [])
    entry.evaluatedAt = this.#ports.clock.now()
  }
}

const isFound = (each: Found | OperationError): each is Found => !(each instanceof OperationError)
