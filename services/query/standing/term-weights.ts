import type { SearchIndex } from '../../../connectors/qdrant/search.ts'
import type { Clock } from '../../../streams/clock.ts'
import type { Entry } from './entry.ts'

/** What terms weigh in scores, asked for where it is not known, and again when that was long ago. */
export class TermWeights {
  readonly #clock: Clock
  readonly #known = new Map<number, { readonly weight: number; readonly at: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Of the terms of each, in order: one request for those that are not known, of the tenant that all have in common. */
  async of(entries: readonly Entry[], index: SearchIndex): Promise<readonly Float64Array[]> {
    const now = this.#clock.now()
    const isKnown = (term: number) => (this.#known.get(term)?.at ?? Number.NEGATIVE_INFINITY) > now - KNOWN_MS
    const byTenant = Map.groupBy(entries, ({ reader }) => reader.tenant)
    for (const some of byTenant.values()) {
      const terms = new Set(some.flatMap(({ wanted }) => [...termsOf(wanted.query)].filter((term) => !isKnown(term))))
      const weights = await index.termWeights(some[0]!.reader, [...terms])
      for (const term of terms) {
        this.#known.delete(term)
        this.#known.set(term, { weight: weights.get(term) ?? Number.POSITIVE_INFINITY, at: now })
      }
    }
    const found = entries.map(({ wanted }) =>
      Float64Array.from(termsOf(wanted.query), (term) => this.#known.get(term)!.weight),
    )
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= KNOWN_MAX) break
      this.#known.delete(oldest)
    }
    return found
  }

  /** The index is another one. */
  forget(): void {
    this.#known.clear()
  }
}

const termsOf = ({ terms }: Entry['wanted']['query']): Uint32Array => terms?.indices ?? NO_TERMS
const NO_TERMS = new Uint32Array()
/** Shorter than what all are renewed after. */
const KNOWN_MS = 20_000
/** Terms that are remembered. */
const KNOWN_MAX = 50_000
