import type { z } from 'zod'
import type { Candidate, Content } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import type { Reranker } from '../../engine/reranker.ts'
import { type DeclaredAttributes, filterFaults } from '../../search/attributes.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { pageOf, placesIn, wordsIn } from './answering.ts'
import type { Hit, searchAnswer } from './answers.ts'
import { findWhereItServes, type Query } from './finding.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type SearchMessage, type SearchWish } from './protocol.ts'
import { rerankingOf } from './reranking.ts'
import type { Serving, ServingFollower } from './serving.ts'
import type { Searched } from './shadow.ts'

export type SearchResult = Readonly<z.infer<typeof searchAnswer>>

export interface SearchPorts {
  readonly serving: Pick<ServingFollower, 'of' | 'sync'>
  /** Told of each search when its answer is made. */
  searched?(searched: Searched): void
  readonly freshness: FreshnessFollower
  /** Where a model is configured that reranks. */
  readonly reranker?: Reranker | null
  /** What may be filtered by. */
  readonly attributes: DeclaredAttributes
}

/**
 * Ranked chunks of the documents that the principal may be shown, all from the collection that answers it when what it asks for is there.
 */
export async function search(
  message: SearchMessage,
  principal: Principal,
  ports: SearchPorts,
  signal: AbortSignal,
): Promise<SearchResult> {
  checkFilter(message, ports.attributes)
  const began = performance.now()
  const reranking = rerankingOf(message, ports)
  const { sync } = ports.serving
  const now = () => ports.serving.of(principal)
  let embedMs = 0
  const queryIn = inEachSpace(async ({ engine }) => {
    const embedding = performance.now()
    const query = await queryOf(message, engine, signal)
    embedMs += performance.now() - embedding
    return query
  })
  // What is wrong with it is said before anything is waited for.
  await queryIn(now())
  let isStale = false as boolean
  const ready = async () => {
    // One deadline for all: also what is searched again, since another collection serves, is answered in time.
    const leftMs = Math.round(Math.max(0, patienceOf(message) - (performance.now() - began)))
    isStale = !(await satisfied(message, leftMs, principal, ports.freshness, signal))
  }
  const page = pageOf(message)
  const wantedIn = async (serving: Serving) => ({
    ...message,
    ...page,
    query: await queryIn(serving),
    ...reranking?.wanted,
  })
  const finding = { serving: { now, sync }, freshness: ports.freshness, ready }
  const { taken: found, lists, asOf, ms, serving } = await findWhereItServes(wantedIn, principal, finding, signal)
  const reranked = await reranking?.rerank(found, signal)
  const taken = reranked?.taken ?? found
  const { from, to, next } = page
  const shown = taken.slice(from, to)
  const placesOf = message.explain ? placesIn(lists) : null
  const wordsOf = message.highlight ? wordsIn(message, serving.engine) : null
  const hits = shown.map((each) => ({
    ...hitOf(each, principal.tenant),
    ...(wordsOf && { highlights: wordsOf(each.text) }),
    ...(placesOf && { explain: { ...placesOf(each.id), ...reranked?.placeOf(each.id) } }),
  }))
  const all = performance.now() - began
  const documents = [...new Set(hits.map(({ documentId }) => documentId))]
  ports.searched?.({ message, principal, serving, documents, embedMs, searchMs: ms })
  const rerankMs = reranked?.ms ?? 0
  const durations = { embed: round(embedMs), search: round(ms), ...(reranked && { rerank: round(rerankMs) }) }
  return {
    hits,
    ...(next !== null && taken.length > to && { next }),
    ...(isStale && { stale: true as const }),
    asOf,
    ...(message.explain && { space: serving.space }),
    ms: message.explain ? { ...durations, wait: round(Math.max(0, all - embedMs - ms - rerankMs)) } : durations,
  }
}

/** As `of`, once in each space. */
function inEachSpace<T>(of: (serving: Serving) => Promise<T>): (serving: Serving) => Promise<T> {
  const bySpace = new Map<string, Promise<T>>()
  return (serving) => {
    const known = bySpace.get(serving.space) ?? of(serving)
    bySpace.set(serving.space, known)
    return known
  }
}

/** Resolves false where the caller takes an answer that may be too old; rejects where it does not. */
async function satisfied(
  { freshness: wish }: SearchMessage,
  leftMs: number,
  by: Principal,
  freshness: FreshnessFollower,
  signal: AbortSignal,
): Promise<boolean> {
  if (wish === 'any') return true
  try {
    if ('maxStalenessMs' in wish) await freshness.within(wish.maxStalenessMs, leftMs, by, signal)
    else await freshness.reached(wish.after, leftMs, by, signal)
    return true
  } catch (error) {
    const takesStale = 'after' in wish && wish.onTimeout === 'stale'
    if (takesStale && error instanceof OperationError && error.code === 'timeout') return false
    throw error
  }
}

const patienceOf = ({ freshness }: SearchMessage): number => (freshness === 'any' ? 0 : freshness.timeoutMs)

/** Before the query is embedded. Throws an `OperationError` for what nothing can be filtered by. */
export function checkFilter({ filter }: Pick<SearchWish, 'filter'>, declared: DeclaredAttributes): void {
  const faults = filterFaults(filter, declared)
  if (faults.length > 0) throw new OperationError('bad_request', faults.slice(0, FAULTS_TOLD_MAX).join('. '))
}

const FAULTS_TOLD_MAX = 5

export async function queryOf(
  { query, mode, language }: Pick<SearchWish, 'query' | 'mode' | 'language'>,
  engine: Engine,
  signal: AbortSignal,
): Promise<Query> {
  if (typeof query === 'string') {
    const dense = mode === 'keyword' ? null : await vectorOf(query, engine, signal)
    const terms = mode === 'dense' ? null : engine.queryTerms(query, language ?? null)
    return { dense, terms, like: null }
  }
  if (mode === 'keyword') throw new OperationError('bad_request', 'mode: keyword needs a text as query')
  if ('like' in query) return { dense: null, terms: null, like: query.like }
  const { space } = engine
  if (query.space !== space.id)
    throw new OperationError(
      'bad_request',
      `query.space: is ${query.space}, and ${space.id} answers; embed the query in that space`,
    )
  if (query.vector.length !== space.dimensions)
    throw new OperationError(
      'bad_request',
      `query.vector: has ${query.vector.length} numbers and needs ${space.dimensions}`,
    )
  const length = Math.hypot(...query.vector)
  if (!(length > 0) || !Number.isFinite(length))
    throw new OperationError('bad_request', 'query.vector: has no direction; give finite numbers that are not all 0')
  return { dense: Float32Array.from(query.vector, (each) => each / length), terms: null, like: null }
}

/** Without the model a search by keywords is still answered, for who asks for it. */
async function vectorOf(query: string, engine: Engine, signal: AbortSignal): Promise<Float32Array> {
  try {
    return (await engine.embed([query], { as: 'query', signal }))[0]!
  } catch (cause) {
    if (cause instanceof Retry)
      throw new OperationError('unavailable', `${reasonOf(cause)}; mode keyword needs no vectors`, {
        cause,
        retryAfterMs: cause.retryAfterMs,
      })
    if (cause instanceof Reject) throw new OperationError('bad_request', `query: ${reasonOf(cause)}`, { cause })
    throw cause
  }
}

export function hitOf(
  { key, ordinal, score, text, title, url, attributes, fence, start, end }: Candidate & Content,
  tenant: string,
): Hit {
  const revision = fence.split(':').slice(0, 2).join(':')
  const documentId = key.slice(tenant.length + 1)
  return {
    hitId: `${documentId}#${ordinal}`,
    documentId,
    ordinal,
    score,
    text,
    title,
    url,
    attributes,
    revision,
    span: [start, end],
  }
}

const round = (ms: number): number => Math.round(ms * 10) / 10
