import type { Candidate, SearchIndex } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { compareFences, fenceText, parseFence } from '../../processors/fence.ts'
import { fuse } from '../../search/fusion.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import type { AsOf, FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type SearchMessage } from './protocol.ts'

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
  readonly index: SearchIndex
  readonly freshness: FreshnessFollower
}

/**
 * Ranked chunks of the tenant's documents. A hit is served only if its fence is its manifest's content fence, so that two
 * revisions of a document are never mixed and a deleted one is never shown.
 */
export async function search(
  message: SearchMessage,
  tenant: string,
  ports: SearchPorts,
  signal: AbortSignal,
): Promise<SearchResult> {
  if (message.rerank) throw new OperationError('unsupported', 'rerank: there is no reranking model here; leave it out')
  const { index, freshness } = ports
  await satisfy(message, freshness, signal)
  const began = performance.now()
  const query = await queryOf(message, tenant, ports, signal)
  const embedded = performance.now()
  // Taken before the index is read: the result is at least this fresh.
  const asOf = freshness.asOf()
  const spec = { tenant, ...query, filter: message.filter, window: windowOf(message.k) }
  let hits: Candidate[] = []
  try {
    let before: Contents = new Map()
    for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
      const ranked = rank(message, await index.candidates(spec))
      const contents = await contentsOf(ranked, tenant, index)
      const present = ranked.filter(({ key, fence }) => contents.get(key) === fence)
      hits = take(present, message, query.except)
      if (!movedOn(ranked, contents, before)) break
      before = contents
    }
  } catch (error) {
    if (error instanceof Retry)
      throw new OperationError('unavailable', `the index is out of reach: ${reasonOf(error)}`, {
        cause: error,
        retryAfterMs: 1_000,
      })
    if (error instanceof Reject) throw new OperationError('bad_request', reasonOf(error), { cause: error })
    throw error
  }
  const done = performance.now()
  return {
    hits: hits.map((hit) => hitOf(hit, tenant)),
    asOf,
    ms: { embed: round(embedded - began), search: round(done - embedded) },
  }
}

/** Candidates of each kind that are fused: fixed for a given k, so that equal requests see equal lists. */
const windowOf = (k: number): number => Math.max(50, 3 * k)
/** A document that is replaced faster than it can be read this often in a row is left out. */
const ATTEMPTS_MAX = 8

async function satisfy(
  { freshness: wish }: SearchMessage,
  freshness: FreshnessFollower,
  signal: AbortSignal,
): Promise<void> {
  if (wish === 'any') return
  if ('maxStalenessMs' in wish) return freshness.within(wish.maxStalenessMs, wish.timeoutMs, signal)
  try {
    await freshness.after(wish.after, wish.timeoutMs, signal)
  } catch (error) {
    if (wish.onTimeout === 'stale' && error instanceof OperationError && error.code === 'timeout') return
    throw error
  }
}

interface Query {
  readonly dense: Float32Array | null
  readonly terms: ReturnType<Engine['queryTerms']> | null
  /** The document that others are compared with is no answer. */
  readonly except: string | null
}

async function queryOf(
  { query, mode, language }: SearchMessage,
  tenant: string,
  { engine, index }: SearchPorts,
  signal: AbortSignal,
): Promise<Query> {
  if (typeof query === 'string') {
    const dense = mode === 'keyword' ? null : (await engine.embed([query], { as: 'query', signal }))[0]!
    const terms = mode === 'dense' ? null : engine.queryTerms(query, language ?? null)
    return { dense, terms, except: null }
  }
  if (mode === 'keyword') throw new OperationError('bad_request', 'mode: keyword needs a text as query')
  if ('like' in query) {
    if (!query.like.startsWith(`${tenant}/`))
      throw new OperationError('not_found', `query.like: there is no document ${JSON.stringify(query.like)}`)
    const dense = await index.centre(tenant, query.like)
    if (dense === null)
      throw new OperationError('not_found', `query.like: there is no document ${JSON.stringify(query.like)}`)
    return { dense, terms: null, except: query.like }
  }
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
  return { dense: Float32Array.from(query.vector, (each) => each / length), terms: null, except: null }
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

async function contentsOf(ranked: readonly Candidate[], tenant: string, index: SearchIndex): Promise<Contents> {
  const manifests = await index.manifests(tenant, [...new Set(ranked.map(({ key }) => key))])
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
