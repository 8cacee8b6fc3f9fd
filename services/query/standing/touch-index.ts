import type { Terms } from '../../../engine/embedder.ts'

/** What of a standing query decides whether a change touches it. */
export interface Watch {
  readonly tenant: string
  /** Documents that are in one of its lists, or that it asks about. */
  readonly keys: ReadonlySet<string>
  /** Its vector, and the score from which on a chunk comes into its list of nearest ones; null: it has no such list. */
  readonly dense: { readonly vector: Float32Array; readonly scoreMin: number } | null
  /** The terms that it looks for; empty: it has no such list. */
  readonly terms: Uint32Array
}

/** A document as the index has it from now on. */
export interface ChangedDocument {
  readonly tenant: string
  readonly key: string
  /** None where it is deleted. */
  readonly chunks: readonly { readonly vector: Float32Array; readonly terms: Terms }[]
}

/**
 * Which standing queries a change touches: those that have the document in one of their lists, and those into whose lists one of
 * its chunks may come now. Some may be named in vain, none is left out.
 *
 * Nearness is found by brute force, over one matrix of all vectors of a tenant. Which score a chunk has for terms depends on all documents,
 * so that one common term is enough to be touched.
 */
export class TouchIndex<Id> {
  readonly #dimensions: number
  readonly #tenants = new Map<string, OfTenant<Id>>()
  readonly #watches = new Map<Id, Watch>()

  constructor(dimensions: number) {
    this.#dimensions = dimensions
  }

  get size(): number {
    return this.#watches.size
  }

  has(tenant: string): boolean {
    return this.#tenants.has(tenant)
  }

  set(id: Id, watch: Watch): void {
    this.delete(id)
    this.#watches.set(id, watch)
    let own = this.#tenants.get(watch.tenant)
    if (own === undefined) {
      own = { keys: new Map(), terms: new Map(), rows: new Rows(this.#dimensions) }
      this.#tenants.set(watch.tenant, own)
    }
    for (const key of watch.keys) add(own.keys, key, id)
    for (const term of watch.terms) add(own.terms, term, id)
    if (watch.dense !== null) own.rows.set(id, watch.dense.vector, watch.dense.scoreMin)
  }

  delete(id: Id): void {
    const watch = this.#watches.get(id)
    if (watch === undefined) return
    this.#watches.delete(id)
    const own = this.#tenants.get(watch.tenant)!
    for (const key of watch.keys) remove(own.keys, key, id)
    for (const term of watch.terms) remove(own.terms, term, id)
    own.rows.delete(id)
    if (own.keys.size + own.terms.size + own.rows.size === 0) this.#tenants.delete(watch.tenant)
  }

  touchedBy({ tenant, key, chunks }: ChangedDocument): Set<Id> {
    const own = this.#tenants.get(tenant)
    if (own === undefined) return new Set()
    const touched = new Set(own.keys.get(key))
    for (const { vector, terms } of chunks) {
      own.rows.near(vector, touched)
      for (const term of terms.indices) for (const id of own.terms.get(term) ?? []) touched.add(id)
    }
    return touched
  }
}

interface OfTenant<Id> {
  readonly keys: Map<string, Set<Id>>
  readonly terms: Map<number, Set<Id>>
  readonly rows: Rows<Id>
}

function add<K, Id>(sets: Map<K, Set<Id>>, key: K, id: Id): void {
  const present = sets.get(key)
  if (present === undefined) sets.set(key, new Set([id]))
  else present.add(id)
}

function remove<K, Id>(sets: Map<K, Set<Id>>, key: K, id: Id): void {
  const present = sets.get(key)
  present?.delete(id)
  if (present?.size === 0) sets.delete(key)
}

/** Vectors side by side in one block of memory, without gaps: what is deleted gives its row to the last. */
class Rows<Id> {
  readonly #dimensions: number
  #matrix: Float32Array
  #scoresMin: Float64Array
  readonly #ids: Id[] = []
  readonly #rowOf = new Map<Id, number>()

  constructor(dimensions: number) {
    this.#dimensions = dimensions
    this.#matrix = new Float32Array(dimensions * ROWS_FIRST)
    this.#scoresMin = new Float64Array(ROWS_FIRST)
  }

  get size(): number {
    return this.#ids.length
  }

  set(id: Id, vector: Float32Array, scoreMin: number): void {
    const row = this.#rowOf.get(id) ?? this.#added(id)
    this.#matrix.set(vector, row * this.#dimensions)
    this.#scoresMin[row] = scoreMin - ROUNDING
  }

  delete(id: Id): void {
    const row = this.#rowOf.get(id)
    if (row === undefined) return
    const last = this.#ids.length - 1
    const moved = this.#ids[last]!
    this.#matrix.copyWithin(row * this.#dimensions, last * this.#dimensions, (last + 1) * this.#dimensions)
    this.#scoresMin[row] = this.#scoresMin[last]!
    this.#ids[row] = moved
    this.#rowOf.set(moved, row)
    this.#ids.pop()
    this.#rowOf.delete(id)
  }

  /** Adds those to whom the vector is as near as what is last in their list. */
  near(vector: Float32Array, touched: Set<Id>): void {
    const dimensions = this.#dimensions
    const matrix = this.#matrix
    for (let row = 0, at = 0; row < this.#ids.length; row++, at += dimensions) {
      let score = 0
      for (let i = 0; i < dimensions; i++) score += matrix[at + i]! * vector[i]!
      // Said this way round so that a score that is no number touches.
      if (!(score < this.#scoresMin[row]!)) touched.add(this.#ids[row]!)
    }
  }

  #added(id: Id): number {
    const row = this.#ids.length
    if (row === this.#scoresMin.length) {
      const matrix = new Float32Array(this.#matrix.length * 2)
      matrix.set(this.#matrix)
      this.#matrix = matrix
      const scoresMin = new Float64Array(this.#scoresMin.length * 2)
      scoresMin.set(this.#scoresMin)
      this.#scoresMin = scoresMin
    }
    this.#ids.push(id)
    this.#rowOf.set(id, row)
    return row
  }
}

const ROWS_FIRST = 16
/** More than the sums of two programs over the same unit vectors differ by. */
const ROUNDING = 1e-4
