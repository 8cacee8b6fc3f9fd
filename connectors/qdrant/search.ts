import type { Terms } from '../../engine/embedder.ts'
import { fenceText } from '../../processors/fence.ts'
import type { Manifest } from '../../processors/vector-index.ts'
import type { Filter } from '../../search/filter.ts'
import { isOwn, type Reader, visibilityOf } from '../../search/visibility.ts'
import { Retry } from '../../streams/errors.ts'
import type { Qdrant } from './client.ts'
import type { CollectionSpec } from './collection.ts'
import { type FilterInit, field, filterOf, keyword } from './filter.ts'
import { qdrantKnownVectors } from './known-vectors.ts'
import { manifestsIn, payloadsOf } from './manifests.ts'
import { floatsOf, idText, manifestId, sparseName, wordsOf } from './points.ts'
import {
  CONTENT_FIELDS,
  candidateOf,
  contentOf,
  hasTerms,
  listsOf,
  nearest,
  type QueryInit,
  SERVED_FIELDS,
  uuidId,
} from './search-messages.ts'
import { sparseOf } from './stored-vectors.ts'

/** The one way to search: every request is made for a reader, and shows what that one may be shown. Rejects with `Retry` when Qdrant is out of reach. */
export interface SearchIndex {
  /** Ranked candidates of each query, in order, at most `window` of each kind that was asked for; all from one request. */
  candidates(queries: readonly CandidateQuery[]): Promise<readonly Candidates[]>
  /** What chunks say, by the ids of candidates: of those that are still there and that the reader may be shown. */
  contents(reader: Reader, ids: readonly string[]): Promise<ReadonlyMap<string, Content>>
  /** Present manifests of these documents of the reader's tenant, by key: which revision is served, nothing of what it says. */
  manifests(reader: Reader, keys: readonly string[]): Promise<ReadonlyMap<string, Served>>
  /** How much each of these terms weighs in a score now, all documents considered; none for a term of no chunk that the reader may be shown. */
  termWeights(reader: Reader, terms: readonly number[]): Promise<ReadonlyMap<number, number>>
  /** The normalised mean of a document's chunk vectors; null if there is none that the reader may be shown. */
  centre(reader: Reader, key: string): Promise<Float32Array | null>
  /** Of the whole collection. */
  count(): Promise<{ chunks: number; documents: number }>
}

export type Served = Pick<Manifest, 'key' | 'fence' | 'content' | 'deleted'>

export interface Candidates {
  readonly dense: readonly Candidate[]
  readonly keyword: readonly Candidate[]
}

export interface CandidateQuery {
  readonly reader: Reader
  readonly dense: Float32Array | null
  readonly terms: Terms | null
  readonly filter: Filter
  readonly window: number
  /** Each point is compared, instead of those that an approximate index leads to. */
  readonly exact?: boolean
}

/** A chunk and how well it fits. What it says is asked for once it is known to be answered. */
export interface Candidate {
  readonly id: string
  readonly score: number
  readonly key: string
  /** The fence that the chunk carries, as text. */
  readonly fence: string
}

/** It never changes: another revision of the document has chunks with other ids. */
export interface Content {
  readonly ordinal: number
  readonly start: number
  readonly end: number
  readonly text: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Record<string, unknown>
}

export function qdrantSearch(qdrant: Qdrant, { collection, space, dimensions }: CollectionSpec): SearchIndex {
  const manifestsOf = async (
    reader: Reader,
    keys: readonly string[],
    fields?: readonly string[],
  ): Promise<Map<string, Manifest>> => {
    const visibility = visibilityOf(reader)
    const own = keys.filter((key) => isOwn(visibility, key))
    if (own.length === 0) return new Map()
    const ids = own.map(manifestId)
    const payloads = await qdrant.read('manifests', (options) => payloadsOf(qdrant, collection, ids, options, fields))
    const present = manifestsIn(payloads, own, ids).filter((manifest) => manifest !== null)
    return new Map(present.map((manifest) => [manifest.key, manifest]))
  }
  const known = qdrantKnownVectors(qdrant, { collection, space, dimensions }, (error) => {
    throw new Retry('Qdrant did not answer for the vectors of a document', { cause: error, state: 'index-unreachable' })
  })
  const isShown = async (filter: FilterInit): Promise<boolean> => {
    const { result } = await qdrant.read('whether a document may be shown', (options) =>
      qdrant.points.scroll({ collectionName: collection, filter, limit: 1 }, options),
    )
    return result.length > 0
  }
  const queryBatch = async (what: string, queryPoints: QueryInit[]) => {
    const { result } = await qdrant.read(what, (options) =>
      qdrant.points.queryBatch({ collectionName: collection, queryPoints }, options),
    )
    return result.map((batch) => batch.result)
  }
  return {
    manifests: (reader, keys) => manifestsOf(reader, keys, SERVED_FIELDS),
    async centre(reader, key) {
      const manifest = (await manifestsOf(reader, [key])).get(key)
      if (manifest === undefined || manifest.deleted || manifest.content === null) return null
      // The manifest has the same key and fence, and no groups: only a chunk says for whom it is.
      const served = [keyword('kind', 'chunk'), keyword('key', key), keyword('fence', fenceText(manifest.content))]
      if (!(await isShown(filterOf(reader, {}, served)))) return null
      const sum = new Float32Array(dimensions)
      for (const vector of (await known.vectors([manifest])).values()) {
        for (const [i, each] of floatsOf(vector).entries()) sum[i] = sum[i]! + each
      }
      const length = Math.hypot(...sum)
      return length > 0 ? sum.map((each) => each / length) : null
    },
    async candidates(queries) {
      const queryPoints = queries.flatMap((query) => listsOf(query, collection, space))
      const lists = queryPoints.length === 0 ? [] : await queryBatch('a search', queryPoints)
      return queries.map((query) => ({
        dense: query.dense === null ? [] : lists.shift()!.map(candidateOf),
        keyword: hasTerms(query) ? lists.shift()!.map(candidateOf) : [],
      }))
    },
    async contents(reader, ids) {
      if (ids.length === 0) return new Map()
      const hasId = { conditionOneOf: { case: 'hasId' as const, value: { hasId: ids.map(uuidId) } } }
      const filter = filterOf(reader, {}, [hasId])
      const { result } = await qdrant.read('what chunks say', (options) =>
        qdrant.points.scroll(
          { collectionName: collection, filter, limit: ids.length, withPayload: CONTENT_FIELDS },
          options,
        ),
      )
      return new Map(result.map(({ id, payload }) => [idText(id!), contentOf(payload)]))
    },
    async termWeights(reader, terms) {
      if (terms.length === 0) return new Map()
      const name = sparseName(space)
      const filter = filterOf(reader, {})
      const best = await queryBatch(
        'what terms weigh',
        terms.map((term) => ({
          collectionName: collection,
          limit: 1n,
          filter,
          using: name,
          query: nearest({ case: 'sparse', value: { indices: [term], values: [1] } }),
          withVectors: { selectorOptions: { case: 'include', value: { names: [name] } } },
        })),
      )
      return new Map(
        terms.flatMap((term, i) => {
          const [point] = best[i]!
          // Qdrant multiplies the weight that the chunk has by that which all documents give the term.
          const own = point === undefined ? null : sparseOf(point.vectors?.vectorsOptions, name)
          const at = own === null ? -1 : wordsOf(own.indices).indexOf(term)
          return at < 0 ? [] : [[term, point!.score / floatsOf(own!.values)[at]!] as const]
        }),
      )
    },
    async count() {
      const counted = async (filter: FilterInit) => {
        const { result } = await qdrant.read('a count', (options) =>
          qdrant.points.count({ collectionName: collection, exact: true, filter }, options),
        )
        return Number(result?.count ?? 0)
      }
      const [chunks, documents] = await Promise.all([
        counted({ must: [keyword('kind', 'chunk')] }),
        counted({
          must: [
            keyword('kind', 'manifest'),
            field({ key: 'deleted', match: { matchValue: { case: 'boolean', value: false } } }),
          ],
        }),
      ])
      return { chunks, documents }
    },
  }
}
