import { Missing } from '../../connectors/qdrant/missing.ts'
import type { Candidate, CandidateQuery, Content, SearchIndex, Served } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import { compareFences, fenceText, parseFence } from '../../processors/fence.ts'
import { type Lists, type RankingWish, rank, take, windowOf } from '../../search/ranking.ts'
import { type Reader, visibilityOf } from '../../search/visibility.ts'
import { systemClock } from '../../streams/clock.ts'
import { Reject, Retry, reasonOf } from '../../streams/errors.ts'
import type { AsOf } from './answers.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { OperationError, type SearchWish } from './protocol.ts'
import type { Serving, ServingFollower } from './serving.ts'

/** A wish whose query is embedded, in the space of the collection that is asked. */
export interface Wanted extends Omit<SearchWish, 'query'> {
  readonly query: Query
  readonly exact: boolean
  /** Of each list; default: as `k` needs it. */
  readonly window?: number
}

export interface Query {
  readonly dense: Float32Array | null
  readonly terms: ReturnType<Engine['queryTerms']> | null
  /** The document that others are compared with: where its chunks lie decides `dense`, and it is no answer itself. */
  readonly like: string | null
}

export interface Asked {
  readonly wanted: Wanted
  readonly reader: Reader
}

export interface Found {
  /** Best first. */
  readonly taken: readonly (Candidate & Content)[]
  /** The lists that the hits were taken from. */
  readonly lists: Lists<Candidate>
  /** What `dense` was compared with, also where it is the centre of a document. */
  readonly dense: Float32Array | null
}

/** When and where something was found. */
export interface Where {
  readonly asOf: AsOf
  readonly serving: Serving
  readonly ms: number
}

/** What chunks say that were found before, by id. */
export interface KnownContents {
  get(id: string): Content | undefined
  set(id: string, content: Content): void
}

export interface FindPorts {
  readonly serving: Pick<ServingFollower, 'sync'> & {
    /** What answers whoever asks. */
    now(): Serving
  }
  readonly freshness: Pick<FreshnessFollower, 'asOf'>
  /** Resolves when it may begin. */
  ready(): Promise<void>
}

/** `wantedIn` embeds the query in the space that answers; it is asked again where another one does meanwhile. */
export async function findWhereItServes(
  wantedIn: (serving: Serving) => Promise<Wanted>,
  reader: Reader,
  ports: FindPorts,
  signal: AbortSignal,
): Promise<Found & Where> {
  const { value, ...where } = await whereItServes(ports, signal, async (serving) =>
    findAll(serving.index, [{ wanted: await wantedIn(serving), reader }]),
  )
  const [found] = value
  if (found instanceof OperationError) throw found
  return { ...found!, ...where }
}

/**
 * Asks the collection that answers. One that is gone before the answer is there was replaced: it is asked again, of the one that serves then.
 */
export async function whereItServes<T>(
  { serving: following, freshness, ready }: FindPorts,
  signal: AbortSignal,
  ask: (serving: Serving) => Promise<T>,
): Promise<{ readonly value: T } & Where> {
  for (;;) {
    const serving = following.now()
    await ready()
    if (following.now() !== serving) continue
    const searching = performance.now()
    // Taken before the index is read: the result is at least this fresh.
    const asOf = freshness.asOf(serving.collection)
    try {
      const value = await ask(serving)
      return { value, asOf, serving, ms: performance.now() - searching }
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
 * What each finds, in order, or why it cannot be answered; all are asked for together. A hit is served only if its fence is its manifest's
 * content fence, so that two revisions of a document are never mixed and a deleted one is never shown.
 */
export async function findAll(
  index: SearchIndex,
  asked: readonly Asked[],
  known: KnownContents = new Map(),
): Promise<readonly (Found | OperationError)[]> {
  const results: (Found | OperationError)[] = []
  let open: Open[] = []
  const centres = await Promise.all(asked.map((each) => denseOf(each, index)))
  for (const [i, each] of asked.entries()) {
    const dense = centres[i]!
    if (dense instanceof OperationError) results[i] = dense
    else open.push({ ...each, i, dense, wish: wishOf(each.wanted), before: new Map() })
  }
  for (let attempt = 1; open.length > 0; attempt++) {
    const again: Open[] = []
    for (const { found, ...each } of await findOnce(index, open, known)) {
      if (attempt < ATTEMPTS_MAX && found.movedOn) again.push({ ...each, before: found.fences })
      else results[each.i] = { taken: found.taken, lists: found.lists, dense: each.dense }
    }
    open = again
  }
  return results
}

interface Open extends Asked {
  readonly i: number
  readonly wish: RankingWish
  readonly dense: Float32Array | null
  /** As they were when it was tried before. */
  readonly before: Fences
}

/** The fence of the chunks that each document is served from, by key; null for one that is deleted. */
type Fences = ReadonlyMap<string, string | null>

const wishOf = (wanted: Wanted): RankingWish => ({
  ...wanted,
  perDocument: wanted.groupBy === 'document' ? 1 : wanted.perDocument,
})

async function findOnce(index: SearchIndex, open: readonly Open[], known: KnownContents) {
  const lists = await index.candidates(open.map(queryOf))
  const ranked = open.map(({ wish }, i) => rank(lists[i]!, wish))
  const keys = ranked.map((candidates) => candidates.map(({ key }) => key))
  const fences = await readForEach(open, keys, async (reader, some) => fencesOf(await index.manifests(reader, some)))
  const chosen = open.map(({ wish, wanted }, i) => {
    const present = ranked[i]!.filter(({ key, fence }) => fences[i]!.get(key) === fence)
    return take(present, wish, wanted.query.like)
  })
  const unknown = chosen.map((some) => some.map(({ id }) => id).filter((id) => known.get(id) === undefined))
  const read = await readForEach(open, unknown, (reader, ids) => index.contents(reader, ids))
  return open.map((each, i) => {
    const taken = chosen[i]!.flatMap((candidate) => {
      const content = known.get(candidate.id) ?? read[i]!.get(candidate.id)
      if (content === undefined) return []
      known.set(candidate.id, content)
      return [{ ...candidate, ...content }]
    })
    const isGone = taken.length < chosen[i]!.length
    const found = {
      taken,
      lists: lists[i]!,
      fences: fences[i]!,
      movedOn: isGone || movedOn(ranked[i]!, fences[i]!, each.before),
    }
    return { ...each, found }
  })
}

function queryOf({ wanted: { query, k, filter, exact, window = windowOf(k) }, reader, dense }: Open): CandidateQuery {
  return { reader, dense, terms: query.terms, filter, window, exact }
}

/** What each wants read, in one request for all who are shown the same. */
async function readForEach<T>(
  open: readonly Open[],
  wanted: readonly (readonly string[])[],
  read: (reader: Reader, names: readonly string[]) => Promise<ReadonlyMap<string, T>>,
): Promise<readonly ReadonlyMap<string, T>[]> {
  const shared = new Map<string, { readonly reader: Reader; readonly names: Set<string> }>()
  const names = open.map(({ reader }, i) => {
    const name = JSON.stringify(visibilityOf(reader))
    const present = shared.get(name)
    if (present === undefined) shared.set(name, { reader, names: new Set(wanted[i]) })
    else for (const each of wanted[i]!) present.names.add(each)
    return name
  })
  const answers = await Promise.all(
    [...shared].map(async ([name, { reader, names }]) => [name, await read(reader, [...names])] as const),
  )
  const byName = new Map(answers)
  return names.map((name) => byName.get(name)!)
}

/** What is compared with dense vectors. A document that the reader may not be shown is not there: nothing tells the two apart. */
async function denseOf(
  { wanted: { query }, reader }: Asked,
  index: SearchIndex,
): Promise<Float32Array | OperationError | null> {
  if (query.like === null) return query.dense
  const name = JSON.stringify(query.like)
  return (
    (await index.centre(reader, query.like)) ??
    new OperationError('not_found', `query.like: there is no document ${name}`)
  )
}

const fencesOf = (manifests: ReadonlyMap<string, Served>): Fences =>
  new Map(
    [...manifests].map(([key, { deleted, content }]) => [key, deleted || content === null ? null : fenceText(content)]),
  )

/**
 * Whether a document may have been replaced between the two reads, so that its chunks were found in part or not at all: there
 * are older ones, and it is not known that the manifest was the same before. Chunks that are left over are therefore read
 * twice and no more. Newer ones are a write under way: what the manifest names was there.
 */
function movedOn(ranked: readonly Candidate[], fences: Fences, before: Fences): boolean {
  return ranked.some(({ key, fence }) => {
    const content = fences.get(key)
    if (content === undefined || content === null || content === before.get(key)) return false
    return compareFences(parseFence(fence)!, parseFence(content)!) < 0
  })
}

/** How long a switch that is not known yet is asked for. */
const SYNC_MS_MAX = 2_000
/** A document that is replaced faster than it can be read this often in a row is left out. */
const ATTEMPTS_MAX = 8
