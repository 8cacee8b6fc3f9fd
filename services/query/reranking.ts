import type { Candidate, Content } from '../../connectors/qdrant/search.ts'
import { byScoreThenId } from '../../search/fusion.ts'
import { take, windowOf } from '../../search/ranking.ts'
import { reasonOf } from '../../streams/errors.ts'
import { LIMITS, OperationError, type SearchMessage } from './protocol.ts'
import type { SearchPorts } from './searching.ts'

export interface Reranking {
  /** What is found, to be reranked: the best whatever their score, and all chunks of a document. */
  readonly wanted: Pick<SearchMessage, 'k' | 'scoreMin' | 'perDocument' | 'groupBy'> & { readonly window: number }
  rerank(found: readonly (Candidate & Content)[], signal: AbortSignal): Promise<Reranked>
}

export interface Reranked {
  /** Best first, with the model's score. */
  readonly taken: readonly (Candidate & Content)[]
  /** Where it stood before, from 1. */
  placeOf(id: string): { readonly reranked: { readonly rank: number; readonly score: number } } | undefined
  readonly ms: number
}

/**
 * A search that is reranked takes its hits from the best `rerankedMax`, which a model reads with the query and orders anew. Groups and the
 * least score count then. null: it is not to be reranked. Throws an `OperationError` where that cannot be.
 */
export function rerankingOf(message: SearchMessage, { reranker }: Pick<SearchPorts, 'reranker'>): Reranking | null {
  const { query, k, cursor, scoreMin, perDocument, groupBy, rerank } = message
  if (!rerank) return null
  if (reranker == null)
    throw new OperationError(
      'unsupported',
      'rerank: there is no reranking model here; leave it out, or set FRESHET_RERANK_MODEL for the query service',
    )
  const refuse = (what: string) => new OperationError('bad_request', `rerank: ${what}`)
  if (typeof query !== 'string') throw refuse('needs a text as query, which the model reads')
  if (cursor !== undefined) throw refuse('orders one list, which has no further pages; leave cursor or rerank out')
  if (k > LIMITS.rerankedMax) throw refuse(`orders the best ${LIMITS.rerankedMax}, and k is ${k}; ask for fewer`)
  const most = LIMITS.rerankedMax
  return {
    wanted: { k: most, window: windowOf(most), scoreMin: undefined, perDocument: undefined, groupBy: undefined },
    async rerank(found, signal) {
      const began = performance.now()
      const late = AbortSignal.timeout(RERANK_MS_MAX)
      const scores = await reranker
        .rerank(
          query,
          found.map(({ text }) => text),
          { signal: AbortSignal.any([signal, late]) },
        )
        .catch((cause) => {
          if (signal.aborted) throw new OperationError('cancelled', 'cancelled')
          const why = late.aborted ? `did not answer within ${RERANK_MS_MAX} ms` : `failed: ${reasonOf(cause)}`
          const what = `rerank: the model ${reranker.model} ${why}; ask again, or without rerank`
          throw new OperationError('unavailable', what, { cause, retryAfterMs: 1_000 })
        })
      const before = new Map(found.map(({ id, score }, i) => [id, { reranked: { rank: i + 1, score } }]))
      const ordered = found.map((each, i) => ({ ...each, score: scores[i]! })).sort(byScoreThenId)
      const wish = { mode: message.mode, k, scoreMin, perDocument: groupBy === 'document' ? 1 : perDocument }
      return { taken: take(ordered, wish), placeOf: (id) => before.get(id), ms: performance.now() - began }
    },
  }
}

/** Whoever reranks much is to wait for the model no longer than that. */
const RERANK_MS_MAX = 10_000
