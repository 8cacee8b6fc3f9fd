import type { Terms } from '../../../engine/embedder.ts'
import { VectorRows } from './vector-rows.ts'

/** What of a standing query decides whether a change touches it. */
export interface Watch {
  readonly tenant: string
  /** Documents that are in one of its lists, or that it asks about; one may be named twice. */
  readonly keys: readonly string[]
  /** Its vector, and the score from which on a chunk comes into its list of nearest ones; null: it has no such list. */
  readonly dense: { readonly vector: Float32Array; readonly scoreMin: number } | null
  /** null: it has no list of what has its terms. */
  readonly keyword: KeywordWatch | null
  /** Whether it may be shown the document, as it is now, and asks for such a one. */
  admits(document: ChangedDocument): boolean
}

export interface KeywordWatch {
  readonly terms: Uint32Array
  /** How much each weighs, infinite where that is not known; none where any score comes in. */
  readonly weights: Float64Array
  /** From which score on a chunk comes into its list. */
  readonly scoreMin: number
}

/** A document as the index has it from now on. */
export interface ChangedDocument {
  readonly tenant: string
  readonly key: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly acl: readonly string[] | null
  /** None where it is deleted. */
  readonly chunks: readonly { readonly vector: Float32Array; readonly terms: Terms }[]
}

/**
 * Which standing queries a change touches: those that have the document in one of their lists, and those into whose lists one of
 * its chunks may come now. Some may be named in vain, none is left out.
 *
 * Nearness is found by brute force, over one matrix of all vectors of a tenant; terms by what has one of them, then by the score that
 * they give, at what they weighed when the standing query was evaluated.
 */
export class TouchIndex<Id> {
  readonly #dimensions: number
  readonly #tenants = new Map<string, OfTenant<Id>>()
  readonly #tenantOf = new Map<Id, string>()

  constructor(dimensions: number) {
    this.#dimensions = dimensions
  }

  get size(): number {
    return this.#tenantOf.size
  }

  has(tenant: string): boolean {
    return this.#tenants.has(tenant)
  }

  set(id: Id, watch: Watch): void {
    if (this.#tenantOf.has(id) && this.#tenantOf.get(id) !== watch.tenant) this.delete(id)
    let own = this.#tenants.get(watch.tenant)
    if (own === undefined) {
      own = new OfTenant(this.#dimensions)
      this.#tenants.set(watch.tenant, own)
    }
    this.#tenantOf.set(id, watch.tenant)
    own.set(id, watch)
  }

  delete(id: Id): void {
    const tenant = this.#tenantOf.get(id)
    if (tenant === undefined) return
    this.#tenantOf.delete(id)
    const own = this.#tenants.get(tenant)!
    own.delete(id)
    if (own.size === 0) this.#tenants.delete(tenant)
  }

  touchedBy(document: ChangedDocument): Set<Id> {
    return this.#tenants.get(document.tenant)?.touchedBy(document) ?? new Set()
  }

  /** Whether it touches this one. */
  touches(id: Id, document: ChangedDocument): boolean {
    return this.#tenantOf.get(id) === document.tenant && this.#tenants.get(document.tenant)!.touches(id, document)
  }
}

/** The standing queries, numbered, that have a document in one of their lists, or one of the terms. */
interface Posting {
  readonly name: string | number
  readonly rows: number[]
}

interface Row<Id> {
  readonly id: Id
  watch: Watch
  keys: readonly Posting[]
}

class OfTenant<Id> {
  readonly #rows: (Row<Id> | null)[] = []
  readonly #free: number[] = []
  readonly #rowOf = new Map<Id, number>()
  readonly #keys = new Map<string | number, Posting>()
  readonly #terms = new Map<string | number, Posting>()
  readonly #vectors: VectorRows

  constructor(dimensions: number) {
    this.#vectors = new VectorRows(dimensions)
  }

  get size(): number {
    return this.#rowOf.size
  }

  set(id: Id, watch: Watch): void {
    const row = this.#rowOf.get(id) ?? this.#added(id, watch)
    const present = this.#rows[row]!
    const termsBefore = present.watch.keyword?.terms
    if (watch.keyword?.terms !== termsBefore) {
      for (const term of termsBefore ?? []) remove(this.#terms, term, row)
      for (const term of watch.keyword?.terms ?? []) add(this.#terms, term, row)
    }
    const names = new Set(watch.keys)
    const left = present.keys.filter(({ name }) => !names.delete(name as string))
    const stayed = left.length === 0 ? present.keys : present.keys.filter((posting) => !left.includes(posting))
    for (const { name } of left) remove(this.#keys, name, row)
    if (left.length > 0 || names.size > 0)
      present.keys = [...stayed, ...Array.from(names, (name) => add(this.#keys, name, row))]
    // Its keys are held by those that share them.
    present.watch = { ...watch, keys: NO_KEYS }
    if (watch.dense === null) this.#vectors.clear(row)
    else this.#vectors.set(row, watch.dense.vector, watch.dense.scoreMin)
  }

  delete(id: Id): void {
    const row = this.#rowOf.get(id)!
    const { watch, keys } = this.#rows[row]!
    for (const { name } of keys) remove(this.#keys, name, row)
    for (const term of watch.keyword?.terms ?? []) remove(this.#terms, term, row)
    this.#vectors.clear(row)
    this.#rowOf.delete(id)
    this.#rows[row] = null
    this.#free.push(row)
  }

  touchedBy(document: ChangedDocument): Set<Id> {
    const touched = new Set<Id>()
    for (const row of this.#keys.get(document.key)?.rows ?? []) touched.add(this.#rows[row]!.id)
    const mayTouch = (row: number): void => {
      const { id, watch } = this.#rows[row]!
      if (!touched.has(id) && watch.admits(document)) touched.add(id)
    }
    for (const { vector, terms } of document.chunks) {
      this.#vectors.near(vector, mayTouch)
      const weightOf = weightsIn(terms)
      const seen = new Set<number>()
      for (const term of terms.indices) for (const row of this.#terms.get(term)?.rows ?? []) seen.add(row)
      for (const row of seen) if (comesIn(this.#rows[row]!.watch.keyword!, weightOf)) mayTouch(row)
    }
    return touched
  }

  touches(id: Id, document: ChangedDocument): boolean {
    const row = this.#rowOf.get(id)!
    const { watch, keys } = this.#rows[row]!
    if (keys.some(({ name }) => name === document.key)) return true
    const { keyword } = watch
    return (
      document.chunks.some(
        ({ vector, terms }) =>
          (watch.dense !== null && this.#vectors.isNear(row, vector)) ||
          (keyword !== null && comesIn(keyword, weightsIn(terms))),
      ) && watch.admits(document)
    )
  }

  #added(id: Id, watch: Watch): number {
    const row = this.#free.pop() ?? this.#rows.length
    this.#rows[row] = { id, watch: { ...watch, keyword: null }, keys: [] }
    this.#rowOf.set(id, row)
    return row
  }
}

const weightsIn = ({ indices, values }: Terms): ReadonlyMap<number, number> =>
  new Map(Array.from(indices, (term, i) => [term, values[i]!]))

/** Whether a chunk with terms of this weight scores as much as what is last in the list, or nearly. */
function comesIn({ terms, weights, scoreMin }: KeywordWatch, weightOf: ReadonlyMap<number, number>): boolean {
  let score = 0
  let shares = false
  for (const [i, term] of terms.entries()) {
    const weight = weightOf.get(term)
    if (weight === undefined) continue
    if (scoreMin === Number.NEGATIVE_INFINITY) return true
    shares = true
    score += weights[i]! * weight
  }
  return shares && !(score * DRIFT < scoreMin)
}

function add(postings: Map<string | number, Posting>, name: string | number, row: number): Posting {
  const present = postings.get(name)
  if (present !== undefined) {
    present.rows.push(row)
    return present
  }
  const posting = { name, rows: [row] }
  postings.set(name, posting)
  return posting
}

function remove(postings: Map<string | number, Posting>, name: string | number, row: number): void {
  const { rows } = postings.get(name)!
  const last = rows.pop()!
  if (last !== row) rows[rows.indexOf(row)] = last
  if (rows.length === 0) postings.delete(name)
}

const NO_KEYS: readonly string[] = []
/** What terms weigh moves with every write. Where it has moved by more than this since the evaluation, what was overlooked is found when all are renewed. */
const DRIFT = 1.1
