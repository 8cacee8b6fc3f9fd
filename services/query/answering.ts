import type { Candidate } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { termSpans } from '../../engine/terms.ts'
import { byScoreThenId } from '../../search/fusion.ts'
import type { Lists } from '../../search/ranking.ts'
import { LIMITS, OperationError, type SearchMessage } from './protocol.ts'

/** What is said of hits beyond what they are: pages of them, why they stand where they stand, which words are the query's. */

export interface Page {
  /** Of all hits, the first that is shown, and the one after the last. */
  readonly from: number
  readonly to: number
  /** As many as are to be found: one more than is shown, where a page may follow. */
  readonly k: number
  /** The cursor of the page that follows; null: none may. */
  readonly next: string | null
  readonly window?: number
}

/** All pages are cut from lists of the same window, so that they are pages of one list, as far as nothing changes between. */
export function pageOf({ k, cursor }: Pick<SearchMessage, 'k' | 'cursor'>): Page {
  if (cursor === undefined) return { from: 0, to: k, k, next: null }
  const from = cursor === '' ? 0 : Number(/^p(\d{1,4})$/.exec(cursor)?.[1] ?? Number.NaN)
  if (Number.isNaN(from))
    throw new OperationError(
      'bad_request',
      'cursor: is none; pass "" for the first page, then what the answer has in next',
    )
  const to = Math.min(from + k, LIMITS.pagedHitsMax)
  if (from >= to)
    throw new OperationError('bad_request', `cursor: pages end at hit ${LIMITS.pagedHitsMax}; narrow the search`)
  return { from, to, k: to + 1, next: to < LIMITS.pagedHitsMax ? `p${to}` : null, window: PAGED_WINDOW }
}

const PAGED_WINDOW = 2 * LIMITS.pagedHitsMax

type Place = { readonly rank: number; readonly score: number } | null

/** Where each candidate stands in the lists, from 1. */
export function placesIn({ dense, keyword }: Lists<Candidate>): (id: string) => { dense: Place; keyword: Place } {
  const placesOf = (list: readonly Candidate[]) =>
    new Map(list.toSorted(byScoreThenId).map(({ id, score }, i) => [id, { rank: i + 1, score }]))
  const [inDense, inKeyword] = [placesOf(dense), placesOf(keyword)]
  return (id) => ({ dense: inDense.get(id) ?? null, keyword: inKeyword.get(id) ?? null })
}

/** The words of a text that have a term of the query; none where the query is no text. */
export function wordsIn(
  { query, language = null }: Pick<SearchMessage, 'query' | 'language'>,
  engine: Pick<Engine, 'queryTerms'>,
): (text: string) => [number, number][] {
  if (typeof query !== 'string') return () => []
  const terms = new Set(engine.queryTerms(query, language).indices)
  return (text) => termSpans(text, terms, language, HIGHLIGHTS_MAX).map(([start, end]) => [start, end])
}

const HIGHLIGHTS_MAX = 100
