import type { MessageInitShape } from '@bufbuild/protobuf'
import type { QueryPointsSchema, ScoredPoint } from '@qdrant/js-client-grpc'
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
import { denseName, floatsOf, idText, manifestId, readPayload, sparseName } from './points.ts'

/** The one way to search: every request is made for a reader, and shows what that one may be shown. */
export interface SearchIndex {
  /** Ranked candidates of each kind that was asked for, at most `window` of each. Rejects with `Retry` when Qdrant is out of reach. */
  candidates(query: CandidateQuery): Promise<{ dense: readonly Candidate[]; keyword: readonly Candidate[] }>
  /** Present manifests of these documents of the reader's tenant, by key: which revision is served, nothing of what it says. */
  manifests(reader: Reader, keys: readonly string[]): Promise<ReadonlyMap<string, Manifest>>
  /** The normalised mean of a document's chunk vectors; null if there is none that the reader may be shown. */
  centre(reader: Reader, key: string): Promise<Float32Array | null>
  /** Of the whole collection. */
  count(): Promise<{ chunks: number; documents: number }>
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

export interface Candidate {
  readonly id: string
  readonly score: number
  readonly key: string
  /** The fence that the chunk carries, as text. */
  readonly fence: string
  readonly offset: number
  readonly ordinal: number
  readonly start: number
  readonly end: number
  readonly text: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Record<string, unknown>
}

type QueryInit = MessageInitShape<typeof QueryPointsSchema>

export function qdrantSearch(qdrant: Qdrant, { collection, space, dimensions }: CollectionSpec): SearchIndex {
  const withPayload = {
    selectorOptions: {
      case: 'exclude' as const,
      value: { fields: ['hash', 'checksum', 'kind', 'tenant', 'bucket', 'acl'] },
    },
  }
  const manifestsOf = async (reader: Reader, keys: readonly string[]): Promise<Map<string, Manifest>> => {
    const visibility = visibilityOf(reader)
    const own = keys.filter((key) => isOwn(visibility, key))
    if (own.length === 0) return new Map()
    const payloads = await qdrant.read('manifests', (options) =>
      payloadsOf(qdrant, collection, own.map(manifestId), options),
    )
    const present = manifestsIn(payloads, own).filter((manifest) => manifest !== null)
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
  return {
    manifests: manifestsOf,
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
    async candidates({ reader, dense, terms, filter, window, exact = false }) {
      const base = {
        collectionName: collection,
        limit: BigInt(window),
        filter: filterOf(reader, filter),
        withPayload,
        params: { exact },
      }
      const queryPoints: QueryInit[] = []
      if (dense !== null)
        queryPoints.push({
          ...base,
          using: denseName(space),
          query: nearest({ case: 'dense', value: { data: Array.from(dense) } }),
        })
      const asksForTerms = terms !== null && terms.indices.length > 0
      if (asksForTerms) {
        const value = { indices: Array.from(terms.indices), values: Array.from(terms.values) }
        queryPoints.push({ ...base, using: sparseName(space), query: nearest({ case: 'sparse', value }) })
      }
      if (queryPoints.length === 0) return { dense: [], keyword: [] }
      const { result } = await qdrant.read('a search', (options) =>
        qdrant.points.queryBatch({ collectionName: collection, queryPoints }, options),
      )
      const lists = result.map((batch) => batch.result.map(candidateOf))
      return { dense: dense === null ? [] : lists.shift()!, keyword: asksForTerms ? lists.shift()! : [] }
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

function candidateOf({ id, score, payload }: ScoredPoint): Candidate {
  const { key, fence, offset, ordinal, start, end, text, title, url, attributes } = readPayload(payload)
  return {
    id: idText(id!),
    score,
    key: String(key),
    fence: String(fence),
    offset: Number(offset),
    ordinal: Number(ordinal),
    start: Number(start),
    end: Number(end),
    text: String(text),
    title: title === null || title === undefined ? null : String(title),
    url: url === null || url === undefined ? null : String(url),
    attributes: (attributes ?? {}) as Record<string, unknown>,
  }
}

type Nearest = NonNullable<NonNullable<QueryInit['query']>['variant']>

function nearest(
  variant:
    | { case: 'dense'; value: { data: number[] } }
    | { case: 'sparse'; value: { indices: number[]; values: number[] } },
): { variant: Nearest } {
  return { variant: { case: 'nearest', value: { variant } } as Nearest }
}
