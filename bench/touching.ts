import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { documentTerms, queryTerms } from '../engine/terms.ts'
import type { Document } from '../schemas/records.ts'
import { type ChangedDocument, TouchIndex, type Watch } from '../services/query/standing/touch-index.ts'
import { random } from '../test/random.ts'
import { type Figures, median } from './report.ts'

/**
 * The touch index by itself, in this process: what it holds of each standing query, and how long it takes to say which of them a chunk touches. Terms
 * are of real texts; vectors are at random, and each list of nearest ones is as full as makes one change in a hundred touch it.
 */
export function touching(figures: Figures, queries: readonly string[], documents: readonly Document[]): void {
  const next = random(20_261_124)
  const terms = queries.map((query) => queryTerms(query, null).indices)
  const vectors = queries.map(() => unitVector(next))
  const documentKeys = documents.map((_, i) => `default/base-${i}`)
  const some = () => documentKeys[Math.floor(next() * documentKeys.length)]!
  const before = held()
  const index = new TouchIndex<object>(DIMENSIONS)
  for (const i of queries.keys()) {
    const watch: Watch = {
      tenant: 'default',
      keys: Array.from({ length: KEYS }, some),
      dense: { vector: vectors[i]!, scoreMin: ONE_IN_A_HUNDRED / Math.sqrt(DIMENSIONS) },
      keyword: { terms: terms[i]!, weights: new Float64Array(terms[i]!.length).fill(4), scoreMin: 9 },
      admits: () => true,
    }
    index.set({}, watch)
  }
  figures.add('touch index alone: of a standing query', 'KiB', (held() - before) / queries.length / 1_024)
  const took: number[] = []
  const counts: number[] = []
  for (const [i, { text }] of documents.slice(0, CHUNKS).entries()) {
    const chunk = { vector: unitVector(next), terms: documentTerms(text, null) }
    const changed: ChangedDocument = {
      tenant: 'default',
      key: documentKeys[i]!,
      attributes: {},
      acl: null,
      chunks: [chunk],
    }
    const began = process.cpuUsage()
    counts.push(index.touchedBy(changed).size)
    const { user, system } = process.cpuUsage(began)
    took.push((user + system) / 1_000)
  }
  figures.add('touch index alone: CPU for a changed chunk', 'ms', median(took))
  figures.add('touch index alone: touched by a chunk', '', median(counts))
}

function unitVector(next: () => number): Float32Array {
  // The sum of several is near enough to a normal distribution.
  const vector = Float32Array.from({ length: DIMENSIONS }, () => next() + next() + next() + next() - 2)
  const length = Math.hypot(...vector)
  return vector.map((each) => each / length)
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

function held(): number {
  collect()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

const DIMENSIONS = 384
/** Of both lists, as many as ten hits are taken from. */
const KEYS = 100
/** Standard deviations of a score that one in a hundred exceeds. */
const ONE_IN_A_HUNDRED = 2.33
const CHUNKS = 200
