import type { z } from 'zod'
import { Missing } from '../../connectors/qdrant/missing.ts'
import type { Candidate, SearchIndex } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { compareFences, fenceText, parseFence } from '../../processors/fence.ts'
import { type Lists, type RankingWish, rank, take, windowOf } from '../../search/ranking.ts'
import type { Reader } from '../../search/visibility.ts'
import { systemClock } from '../../streams/clock.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { pageOf, placesIn, wordsIn } from './answering.ts'
import type { AsOf, Hit, searchAnswer } from './answers.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type SearchMessage, type SearchWish } from './protocol.ts'
import type { ServingFollower } from './serving.ts'

export type SearchResult = Readonly<z.infer<typeof searchAnswer>>

export interface SearchPorts {
  readonly engine: Engine
  readonly serving: Pick<ServingFollower, 'now' | 'sync'>
  readonly freshness: FreshnessFollower
}

/**
 * Ranked chunks of the documents that the principal may be shown, all from the collection that serves when what the caller asks for is there.
 */
export async function search(
  message: SearchMessage,
  principal: Principal,
  ports: SearchPorts,
  signal: AbortSignal,
): Promise<SearchResult> {
  const began = performance.now()
  const query = await queryOf(message, ports, signal)
  const embedMs = performance.now() - began
  let isStale = false as boolean
  const ready = async () => {
    // One deadline for all: also what is searched again, since another collection serves, is answered in time.
    const leftMs = Math.round(Math.max(0, patienceOf(message) - (performance.now() - began)))
    isStale = !(await satisfied(message, leftMs, ports.freshness, signal))
  }
  const page = pageOf(message)
  const wanted = { ...message, ...page, query }
  const { taken, lists, asOf, ms } = await findWhereItServes(wanted, principal, { ...ports, ready }, signal)
  const { from, to, next } = page
  const shown = taken.slice(from, to)
  const placesOf = message.explain ? placesIn(lists) : null
  const wordsOf = message.highlight ? wordsIn(message, ports.engine) : null
  const hits = shown.map((each) => ({
    ...hitOf(each, principal.tenant),
    ...(wordsOf && { highlights: wordsOf(each.text) }),
    ...(placesOf && { explain: placesOf(each.id) }),
  }))
  const all = performance.now() - began
  const durations = { embed: round(embedMs), search: round(ms) }
  return {
    hits,
    ...(next !== null && taken.length > to && { next }),
    ...(isStale && { stale: true as const }),
    asOf,
    ms: message.explain ? { ...durations, wait: round(Math.max(0, all - embedMs - ms)) } : durations,
  }
}

/** A wish whose query is embedded. */
export interface Wanted extends Omit<SearchWish, 'query'> {
  readonly query: Query
  readonly exact: boolean
  /** Of each list; default: as `k` needs it. */
  readonly window?: number
}

export interface Found {
  /** Best first. */
  readonly taken: readonly Candidate[]
  /** The lists that the hits were taken from. */
  readonly lists: Lists<Candidate>
  /** What `dense` was compared with, also where it is the centre of a document. */
  readonly dense: Float32Array | null
}

/**
 * What the collection that serves has. One that is gone before the answer is there was replaced: the search is made again, on
 * the one that serves then. `ready` resolves when it may begin.
 */
export async function findWhereItServes(
  wanted: Wanted,
  principal: Principal,
  { serving: following, freshness, ready }: Pick<SearchPorts, 'serving' | 'freshness'> & { ready(): Promise<void> },
  signal: AbortSignal,
): Promise<Found & { readonly asOf: AsOf; readonly collection: string; readonly ms: number }> {
  for (;;) {
    const serving = following.now()
    await ready()
    if (following.now() !== serving) continue
    const searching = performance.now()
    // Taken before the index is read: the result is at least this fresh.
    const asOf = freshness.asOf()
    try {
      const found = await find(serving.index, wanted, principal)
      return { ...found, asOf, collection: serving.collection, ms: performance.now() - searching }
    } catch (error) {
      // Removed, most likely, since another one serves: whoever has not heard of that yet asks.
      if (error instanceof Missing)
        await Promise.race([following.sync().catch(() => {}), systemClock.wait(SYNC_MS_MAX, signal)])
      if (error instanceof Retry && following.now() !== serving) continue
      if (error instanceof Retry)
        throw new OperationError('unavailable', `the index is out of reach: ${reasonOf(error)}`, {
          cause: error,
          retryAfterMs: 1_000,
        })
      if (error instanceof Reject) throw new OperationError('bad_request', reasonOf(error), { cause: error })
      throw error
    }
  }
}

/**
 * A hit is served only if its fence is its manifest's content fence, so that two revisions of a document are never mixed and
 * a deleted one is never shown.
 */
async function find(index: SearchIndex, wanted: Wanted, reader: Reader): Promise<Found> {
  const { query, k, filter, exact, window = windowOf(k) } = wanted
  const wish: RankingWish = { ...wanted, perDocument: wanted.groupBy === 'document' ? 1 : wanted.perDocument }
  const dense = query.like === null ? query.dense : await centreOf(query.like, reader, index)
  const spec = { reader, dense, terms: query.terms, filter, window, exact }
  let before: Contents = new Map()
  for (let attempt = 1; ; attempt++) {
    const lists = await index.candidates(spec)
    const ranked = rank(lists, wish)
    const contents = await contentsOf(ranked, reader, index)
    const present = ranked.filter(({ key, fence }) => contents.get(key) === fence)
    if (attempt === ATTEMPTS_MAX || !movedOn(ranked, contents, before)) {
      return { taken: take(present, wish, query.like), lists, dense }
    }
    before = contents
  }
}

/** How long a switch that is not known yet is asked for. */
const SYNC_MS_MAX = 2_000
/** A document that is replaced faster than it can be read this often in a row is left out. */
const ATTEMPTS_MAX = 8

/** Resolves false where the caller takes an answer that may be too old; rejects where it does not. */
async function satisfied(
  { freshness: wish }: SearchMessage,
  leftMs: number,
  freshness: FreshnessFollower,
  signal: AbortSignal,
): Promise<boolean> {
  if (wish === 'any') return true
  try {
    if ('maxStalenessMs' in wish) await freshness.within(wish.maxStalenessMs, leftMs, signal)
    else await freshness.reached(wish.after, leftMs, signal)
    return true
  } catch (error) {
    const takesStale = 'after' in wish && wish.onTimeout === 'stale'
    if (takesStale && error instanceof OperationError && error.code === 'timeout') return false
    throw error
  }
}

const patienceOf = ({ freshness }: SearchMessage): number => (freshness === 'any' ? 0 : freshness.timeoutMs)

export interface Query {
  readonly dense: Float32Array | null
  readonly terms: ReturnType<Engine['queryTerms']> | null
  /** The document that others are compared with: where its chunks lie decides `dense`, and it is no answer itself. */
  readonly like: string | null
}

export async function queryOf(
  { query, mode, language, rerank }: Pick<SearchWish, 'query' | 'mode' | 'language' | 'rerank'>,
  { engine }: Pick<SearchPorts, 'engine'>,
  signal: AbortSignal,
): Promise<Query> {
  if (rerank) throw new OperationError('unsupported', 'rerank: there is no reranking model here; leave it out')
  if (typeof query === 'string') {
    const dense = mode === 'keyword' ? null : (await engine.embed([query], { as: 'query', signal }))[0]!
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

/** One that the reader may not be shown is not there: nothing tells the two apart. */
async function centreOf(like: string, reader: Reader, index: SearchIndex): Promise<Float32Array> {
  const centre = await index.centre(reader, like)
  if (centre === null) throw new OperationError('not_found', `query.like: there is no document ${JSON.stringify(like)}`)
  return centre
}

/** The fence of the chunks that each document is served from, by key; null for one that is deleted. */
type Contents = ReadonlyMap<string, string | null>

async function contentsOf(ranked: readonly Candidate[], reader: Reader, index: SearchIndex): Promise<Contents> {
  const manifests = await index.manifests(reader, [...new Set(ranked.map(({ key }) => key))])
  return new Map(
    [...manifests].map(([key, { deleted, content }]) => [key, deleted || content === null ? null : fenceText(content)]),
  )
}

/**
 * Whether a document may have been replaced between the two reads, so that its chunks were found in part or not at all: there
 * are older ones, and it is not known that the manifest was the same before. Chunks that are left over are therefore read
 * twice and no more. Newer ones are a write under way: what the manifest names was there.
 */
function movedOn(ranked: readonly Candidate[], contents: Contents, before: Contents): boolean {
  return ranked.some(({ key, fence }) => {
    const content = contents.get(key)
    if (content === undefined || content === null || content === before.get(key)) return false
    return compareFences(parseFence(fence)!, parseFence(content)!) < 0
  })
}

export function hitOf(
  { key, ordinal, score, text, title, url, attributes, fence, start, end }: Candidate,
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
