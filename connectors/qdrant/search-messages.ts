import type { MessageInitShape } from '@bufbuild/protobuf'
import type { QueryPointsSchema, ScoredPoint } from '@qdrant/js-client-grpc'
import { filterOf } from './filter.ts'
import { denseName, type IdInit, idText, readPayload, sparseName } from './points.ts'
import type { Candidate, CandidateQuery, Content } from './search.ts'

/** What a search asks Qdrant and what it answers, as messages. */
export type QueryInit = MessageInitShape<typeof QueryPointsSchema>

/** The lists that make up a query: that of the nearest, then that of the terms. */
export function listsOf(query: CandidateQuery, collection: string, space: string): QueryInit[] {
  const { reader, dense, terms, filter, window, exact = false } = query
  const base = {
    collectionName: collection,
    limit: BigInt(window),
    filter: filterOf(reader, filter),
    withPayload: CANDIDATE_FIELDS,
    params: { exact },
  }
  const lists: QueryInit[] = []
  if (dense !== null)
    lists.push({
      ...base,
      using: denseName(space),
      query: nearest({ case: 'dense', value: { data: Array.from(dense) } }),
    })
  if (hasTerms(query)) {
    const value = { indices: Array.from(terms!.indices), values: Array.from(terms!.values) }
    lists.push({ ...base, using: sparseName(space), query: nearest({ case: 'sparse', value }) })
  }
  return lists
}

export const hasTerms = ({ terms }: CandidateQuery): boolean => terms !== null && terms.indices.length > 0

const include = (...fields: string[]) => ({ selectorOptions: { case: 'include' as const, value: { fields } } })
const CANDIDATE_FIELDS = include('key', 'fence')
export const CONTENT_FIELDS = include('ordinal', 'start', 'end', 'text', 'title', 'url', 'attributes')
export const SERVED_FIELDS = ['key', 'fence', 'content', 'deleted']

export function candidateOf({ id, score, payload }: ScoredPoint): Candidate {
  const { key, fence } = readPayload(payload)
  return { id: idText(id!), score, key: String(key), fence: String(fence) }
}

export function contentOf(payload: ScoredPoint['payload']): Content {
  const { ordinal, start, end, text, title, url, attributes } = readPayload(payload)
  return {
    ordinal: Number(ordinal),
    start: Number(start),
    end: Number(end),
    text: String(text),
    title: title === null || title === undefined ? null : String(title),
    url: url === null || url === undefined ? null : String(url),
    attributes: (attributes ?? {}) as Record<string, unknown>,
  }
}

export const uuidId = (value: string): IdInit => ({ pointIdOptions: { case: 'uuid', value } })

type Nearest = NonNullable<NonNullable<QueryInit['query']>['variant']>

export function nearest(
  variant:
    | { case: 'dense'; value: { data: number[] } }
    | { case: 'sparse'; value: { indices: number[]; values: number[] } },
): { variant: Nearest } {
  return { variant: { case: 'nearest', value: { variant } } as Nearest }
}
