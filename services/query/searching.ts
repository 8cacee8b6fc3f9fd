import { Missing } from '../../connectors/qdrant/missing.ts'
import type { Candidate, SearchIndex } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { compareFences, fenceText, parseFence } from '../../processors/fence.ts'
import { fuse } from '../../search/fusion.ts'
import type { Reader } from '../../search/visibility.ts'
import { systemClock } from '../../streams/clock.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import type { AsOf, FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type SearchMessage } from './protocol.ts'
import type { ServingFollower } from './serving.ts'

export interface Hit {
  readonly documentId: string
  readonly ordinal: number
  readonly score: number
  readonly text: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Record<string, unknown>
  readonly revision: string
  readonly span: readonly [number, number]
}

export interface SearchResult {
  readonly hits: readonly Hit[]
  readonly asOf: AsOf
  /** Durations, ms. */
  readonly ms: { readonly embed: number; readonly search: number }
}

export interface SearchPorts {
  readonly engine: Engine
  readonly serving: Pick<ServingFollower, 'now' | 'sync'>
  readonly freshness: FreshnessFollower
}

/**
 * Ranked chunks of the documents that the principal may be shown, all from the collection that serves when what the caller asks for is there. One
 * that is gone before the answer is there was replaced: the search is made again, on the one that serves then.
 */
export async function search(
  message: SearchMessage,
  principal: Principal,
  ports: SearchPorts,
  signal: AbortSignal,
): Promise<SearchResult> {
  if (message.rerank) throw new OperationError('unsupported', 'rerank: there is no reranking model here; leave it out')
  const began = performance.now()
  const query = await queryOf(message, ports, signal)
  const embedMs = performance.now() - began
  for (;;) {
    const serving = ports.serving.now()
    await satisfy(message, principal, ports.freshness, signal)
    if (ports.serving.now() !== serving) continue
    const searching = performance.now()
    // Taken before the index is read: the result is at least this fresh.
    const asOf = ports.freshness.asOf()
    try {
      const hits = await hitsIn(serving.index, message, principal, query)
      const ms = { embed: round(embedMs), search: round(performance.now() - searching) }
      return { hits: hits.map((hit) => hitOf(hit, principal.tenant)), asOf, ms }
    } catch (error) {
      // Removed, most likely, since another one serves: whoever has not heard of that yet asks.
      if (error instanceof Missing)
        await Promise.race([ports.serving.sync().catch(() => {}), systemClock.wait(SYNC_MS_MAX, signal)])
      if (error instanceof Retry && ports.serving.now() !== serving) continue
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
async function hitsIn(
  index: SearchIndex,
  message: SearchMessage,
  reader: Reader,
  query: Query,
): Promise<readonly Candidate[]> {
  const dense = query.like === null ? query.dense : await centreOf(query.like, reader, index)
  const spec = { reader, dense, terms: query.terms, filter: message.filter, window: windowOf(message.k) }
  let before: Contents = new Map()
  for (let attempt = 1; ; attempt++) {
    const ranked = rank(message, await index.candidates(spec))
    const contents = await contentsOf(ranked, reader, index)
    const present = ranked.filter(({ key, fence }) => contents.get(key) === fence)
    if (attempt === ATTEMPTS_MAX || !movedOn(ranked, contents, before)) return take(present, message, query.like)
    before = contents
  }
}

/** Candidates of each kind that are fused: fixed for a given k, so that equal requests see equal lists. */
const windowOf = (k: number): number => Math.max(50, 3 * k)
/** How long a switch that is not known yet is asked for. */
const SYNC_MS_MAX = 2_000
/** A document that is replaced faster than it can be read this often in a row is left out. */
const ATTEMPTS_MAX = 8

async function satisfy(
  { freshness: wish }: SearchMessage,
  principal: Principal,
  freshness: FreshnessFollower,
  signal: AbortSignal,
): Promise<void> {
  if (wish === 'any') return
  if ('maxStalenessMs' in wish) return freshness.within(wish.maxStalenessMs, wish.timeoutMs, signal)
  try {
    await freshness.after(wish.after, wish.timeoutMs, principal, signal)
  } catch (error) {
    if (wish.onTimeout === 'stale' && error instanceof OperationError && error.code === 'timeout') return
    throw error
  }
}

interface Query {
  readonly dense: Float32Array | null
  readonly terms: ReturnType<Engine['queryTerms']> | null
  /** The document that others are compared with: where its chunks lie decides `dense`, and it is no answer itself. */
  readonly like: string | null
}

async function queryOf(
  { query, mode, language }: SearchMessage,
  { engine }: SearchPorts,
  signal: AbortSignal,
): Promise<Query> {
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

function rank(
  { mode }: SearchMessage,
  { dense, keyword }: { dense: readonly Candidate[]; keyword: readonly Candidate[] },
): Candidate[] {
  if (mode !== 'hybrid' || keyword.length === 0)
    return [...dense, ...keyword].sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
  const byId = new Map([...keyword, ...dense].map((candidate) => [candidate.id, candidate]))
  const fused = fuse({ dense, keyword, k: byId.size })
  return fused.map(({ id, score }) => ({ ...byId.get(id)!, score }))
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

function take(present: readonly Candidate[], { k, groupBy }: SearchMessage, except: string | null): Candidate[] {
  const seen = new Set<string>(except === null ? [] : [except])
  const hits: Candidate[] = []
  for (const candidate of present) {
    if (hits.length === k) break
    if (seen.has(candidate.key)) continue
    if (groupBy === 'document') seen.add(candidate.key)
    hits.push(candidate)
  }
  return hits
}

function hitOf(
  { key, ordinal, score, text, title, url, attributes, fence, start, end }: Candidate,
  tenant: string,
): Hit {
  const revision = fence.split(':').slice(0, 2).join(':')
  return {
    documentId: key.slice(tenant.length + 1),
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
