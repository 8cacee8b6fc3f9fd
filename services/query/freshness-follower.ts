import { type Asker, spaceOfCollection } from '../../processors/collections.ts'
import { tenantOf } from '../../processors/document-key.ts'
import type { Progress, Receipt } from '../../schemas/records.ts'
import { documents, indexed, ingestPositions, progress } from '../../schemas/topics.ts'
import { Frontier, type Positions, positionsOf, tokenOf, worstOf } from '../../search/freshness.ts'
import { visibilityOf } from '../../search/visibility.ts'
import type { Position } from '../../streams/broker.ts'
import { systemClock } from '../../streams/clock.ts'
import { Reject } from '../../streams/errors.ts'
import { openTable } from '../../streams/table.ts'
import { nameIn, type Topic } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'
import type { Principal } from '../principal.ts'
import type { AsOf, Outcome } from './answers.ts'
import { OperationError } from './protocol.ts'

/**
 * Follows how far each collection has come, of whichever space: `progress`, the receipts, and the ends of `documents` and of the sources. All are
 * followed, so that the one that serves next is known before it does; what is waited for is waited for in the one that answers who asks.
 */
export interface FreshnessFollower {
  asOf(collection: string): AsOf
  /** How stale each source is, before `documents`: its worst partition. */
  sources(): readonly { readonly source: string; readonly staleMs: number }[]
  /** Resolves when the index has what the token stands for. Rejects with an `OperationError`. */
  reached(token: string, timeoutMs: number, by: Asker, signal: AbortSignal): Promise<void>
  /**
   * The same, with what became of each position. Whose token it is, nobody knows: what became
   * of a document of another tenant is not told, and why one was rejected, which may quote it, only to whoever is shown everything or wrote it here.
   */
  after(token: string, timeoutMs: number, by: Caller, signal: AbortSignal): Promise<readonly Outcome[]>
  /** Resolves when the result would be at most this stale. */
  within(maxStalenessMs: number, timeoutMs: number, by: Asker, signal: AbortSignal): Promise<void>
  /** Positions that were written just now through this process. */
  wrote(positions: readonly Position[], by: Caller): Positions
  /** Calls it with what `progress` says of each collection, now and from now on. Returns what ends that. */
  progressed(listener: (progress: Progress) => void): () => void
  /** Since when Kafka has not told the ends of the logs, ms; 0 when it has just now. */
  unheardMs(): number
  close(): Promise<void>
}

/** Who asks, or writes. */
export type Caller = Pick<Principal, 'tenant' | 'subject' | 'groups'>

/** The collection that answers who asks. */
export type Collections = (by: Asker | null) => string

export interface Followable {
  readonly partitions: number
  /** Topics before `documents`. */
  readonly sources: readonly Topic[]
  /** Receipts that are kept to tell a waiting writer the outcome. Default: of the last 50,000 documents. */
  readonly receiptsMax?: number
}

export async function followFreshness(
  { broker, serde, scope, epoch }: Pick<Platform, 'broker' | 'serde' | 'scope' | 'epoch'>,
  { partitions, sources, receiptsMax = RECEIPTS_MAX }: Followable,
  serving: Collections,
  failed: (error: Error) => void,
): Promise<FreshnessFollower> {
  const collections = new Map<string, Followed>()
  const sourceNames = sources.map((source) => nameIn(scope, source))
  /** By topic and partition. */
  const ingested = new Map<string, Frontier>()
  const receipts = new Map<string, Outcome & { readonly collection: string; readonly tenant: string }>()
  /** Receipts up to these were written before we listened, or are not kept any more: nobody waits for them. */
  const unknownBefore: number[] = Array.from({ length: partitions }, () => -1)
  const writers = new Map<string, string>()
  let known: readonly { partition: number; end: number }[] = []
  const waiters = new Set<() => void>()
  const listeners = new Set<(progress: Progress) => void>()
  const changed = () => {
    for (const wake of [...waiters]) wake()
  }
  const shared = { broker, serde, scope, failed }

  const followed = (collection: string): Followed => {
    const present = collections.get(collection)
    if (present !== undefined) return present
    const frontiers = Array.from({ length: partitions }, () => new Frontier())
    for (const { partition, end } of known) frontiers[partition]?.sawEnd(end, Date.now())
    const added: Followed = { frontiers, held: new Set() }
    collections.set(collection, added)
    return added
  }
  const sawEnd = (partition: number, end: number, now: number): void => {
    for (const { frontiers } of collections.values()) frontiers[partition]?.sawEnd(end, now)
  }

  /** The index is an older copy: what it had is told anew, by other receipts. */
  const wasSetBack = ({ collection, partition, low }: Progress): void => {
    for (const [place, receipt] of receipts)
      if (receipt.collection === collection && receipt.partition === partition && receipt.offset > low)
        receipts.delete(place)
  }

  const progressTable = await openTable(progress, {
    ...shared,
    changed(key, value) {
      if (value === undefined) return void collections.delete(key.slice(0, key.lastIndexOf('/')))
      if (spaceOfCollection(value.collection, scope.prefix) === null || value.epoch !== epoch) return
      const { frontiers, held } = followed(value.collection)
      const before = frontiers[value.partition]?.low ?? null
      frontiers[value.partition]?.sawLow(value.low)
      if (before !== null && value.low < before) wasSetBack(value)
      if (value.state === 'following') held.delete(value.partition)
      else held.add(value.partition)
      for (const listener of listeners) listener(value)
      changed()
    },
  })
  const ingestedOf = (topic: string, partition: number): Frontier => {
    const key = `${topic}/${partition}`
    const frontier = ingested.get(key) ?? new Frontier()
    ingested.set(key, frontier)
    return frontier
  }
  const ids = new Map((await broker.admin.topics()).map(({ name, id }) => [id, name]))
  const positionTable = await openTable(ingestPositions, {
    ...shared,
    changed(key, value) {
      // Of a former topic of the name it says nothing.
      const topic = ids.get(key.slice(0, key.lastIndexOf('/')))
      if (value !== undefined && topic !== undefined && sourceNames.includes(topic))
        ingestedOf(topic, value.partition).sawLow(value.next - 1)
    },
  })
  let decoding = Promise.resolve()
  const receiptTail = await broker.tail({
    topics: [nameIn(scope, indexed)],
    from: 'end',
    failed,
    fetched({ records }) {
      decoding = decoding
        .then(async () => {
          for (const { key, value } of records)
            if (key !== null && value !== null)
              remember(tenantOf(key.toString('utf8')), (await serde.decode(indexed, value)) as Receipt)
          if (records.length > 0) changed()
        })
        .catch((error) => {
          if (!(error instanceof Reject)) failed(error as Error)
        })
    },
  })

  const remember = (tenant: string, { collection, partition, offset, outcome, reason }: Receipt): void => {
    if (spaceOfCollection(collection, scope.prefix) === null) return
    receipts.set(`${partition}/${offset}`, { collection, tenant, partition, offset, outcome, reason })
    if (receipts.size <= receiptsMax) return
    const [oldest, { partition: of, offset: at }] = receipts.entries().next().value!
    receipts.delete(oldest)
    unknownBefore[of] = Math.max(unknownBefore[of]!, at)
  }

  const closed = new AbortController()
  let heardAt = Date.now()
  const look = async (): Promise<void> => {
    const [ends, ...sourceEnds] = await Promise.all(
      [nameIn(scope, documents), ...sourceNames].map((name) => broker.admin.offsets(name)),
    )
    const now = Date.now()
    heardAt = now
    known = ends!
    for (const { partition, end } of ends!) sawEnd(partition, end, now)
    for (const [i, topic] of sourceNames.entries())
      for (const { partition, start, end } of sourceEnds[i]!) {
        const frontier = ingestedOf(topic, partition)
        // What was ingested is known from the positions; before the first, everything from the log's start is open.
        if (end === start) frontier.sawLow(end - 1)
        frontier.sawEnd(end, now)
      }
  }
  await progressTable.sync()
  await positionTable.sync()
  followed(serving(null))
  await look()
  for (const [partition, frontier] of followed(serving(null)).frontiers.entries())
    unknownBefore[partition] = Math.max(unknownBefore[partition]!, frontier.low ?? -1)
  const looking = (async () => {
    while (!closed.signal.aborted) {
      await systemClock.wait(LOOK_EVERY_MS, closed.signal)
      // Out of reach: what is known gets older by itself, and the next look says more.
      if (!closed.signal.aborted) await look().catch(() => {})
    }
  })()

  const asOf = (collection: string): AsOf => {
    const now = Date.now()
    const { frontiers, held } = followed(collection)
    const each = frontiers.map((frontier) => frontier.freshness(now))
    const { staleMs, complete } = worstOf(each)
    const positions = Object.fromEntries(
      each.flatMap(({ low }, partition) => (low === null || low < 0 ? [] : [[partition, low]])),
    )
    const ingest = worstOf([...ingested.values()].map((frontier) => frontier.freshness(now)))
    return {
      token: tokenOf({ epoch, documents: positions }),
      staleMs,
      complete: complete && held.size === 0,
      ingestStaleMs: ingest.staleMs,
    }
  }

  /** Resolves true as soon as the condition holds, false after the time. */
  const until = async (condition: () => boolean, timeoutMs: number, signal: AbortSignal): Promise<boolean> => {
    const deadline = Date.now() + timeoutMs
    while (!condition()) {
      if (signal.aborted) throw new OperationError('cancelled', 'cancelled')
      const left = deadline - Date.now()
      if (left <= 0) return false
      const woken = new AbortController()
      const wake = () => woken.abort()
      waiters.add(wake)
      signal.addEventListener('abort', wake)
      await systemClock.wait(Math.min(left, LOOK_EVERY_MS), woken.signal)
      waiters.delete(wake)
      signal.removeEventListener('abort', wake)
    }
    return true
  }

  /** Resolves with the positions that the token stands for when the index has them all. */
  const reached = async (
    token: string,
    timeoutMs: number,
    by: Asker,
    signal: AbortSignal,
  ): Promise<readonly Wanted[]> => {
    const positions = positionsOf(token)
    if (positions === null)
      throw new OperationError(
        'bad_request',
        `after: ${JSON.stringify(token.slice(0, 40))} is not a token; pass one that publish or a result gave`,
      )
    if (positions.epoch !== epoch)
      throw new OperationError(
        'position_expired',
        `after: the token is of epoch ${positions.epoch} and the index follows ${epoch}; publish again, or read without it`,
      )
    const wanted = Object.entries(positions.documents).flatMap(([partition, at]): Wanted[] =>
      typeof at === 'number'
        ? [{ partition: Number(partition), offset: at, own: false }]
        : at.map((offset) => ({ partition: Number(partition), offset, own: true })),
    )
    const unknown = wanted.find(({ partition }) => partition >= partitions)
    if (unknown)
      throw new OperationError(
        'bad_request',
        `after: the token names partition ${unknown.partition}, and there are ${partitions}`,
      )
    // A receipt of the collection that served before says nothing of the one that does.
    const isThere = ({ partition, offset, own }: Wanted) =>
      (own && receipts.get(`${partition}/${offset}`)?.collection === serving(by)) ||
      followed(serving(by)).frontiers[partition]!.covers(offset)
    if (await until(() => wanted.every(isThere), timeoutMs, signal)) return wanted
    const open = wanted.filter((each) => !isThere(each)).map(({ partition, offset }) => `${partition}/${offset}`)
    throw new OperationError(
      'timeout',
      `the index has not reached ${open.slice(0, 5).join(', ')} within ${timeoutMs} ms; wait again`,
      { retryAfterMs: 500 },
    )
  }

  const staleMsOf = (topic: string, now: number): number => {
    const own = [...ingested].filter(([key]) => key.slice(0, key.lastIndexOf('/')) === topic)
    return worstOf(own.map(([, frontier]) => frontier.freshness(now))).staleMs
  }

  return {
    asOf,
    sources: () =>
      sources.map((source) => ({ source: source.name, staleMs: staleMsOf(nameIn(scope, source), Date.now()) })),
    async reached(...wish) {
      await reached(...wish)
    },
    async after(token, timeoutMs, by, signal) {
      const { tenant, groups } = visibilityOf(by)
      const wanted = await reached(token, timeoutMs, by, signal)
      // The watermark may be here before the receipt that was written with it, which says more.
      const awaited = wanted.filter(({ partition, offset, own }) => own && offset > unknownBefore[partition]!)
      const received = () => awaited.every(({ partition, offset }) => receipts.has(`${partition}/${offset}`))
      await until(received, RECEIPT_MS_MAX, signal)
      return wanted.map(({ partition, offset }) => {
        const receipt = receipts.get(`${partition}/${offset}`)
        if (receipt?.tenant !== tenant) return { partition, offset, outcome: 'applied' as const, reason: null }
        const { outcome, reason } = receipt
        const told = groups === null || writers.get(`${partition}/${offset}`) === nameOf(by)
        return { partition, offset, outcome, reason: told || reason === null ? reason : UNTOLD }
      })
    },
    async within(maxStalenessMs, timeoutMs, by, signal) {
      const fresh = () => {
        const { staleMs, complete } = asOf(serving(by))
        return complete && staleMs <= maxStalenessMs
      }
      if (await until(fresh, timeoutMs, signal)) return
      const { staleMs, complete } = asOf(serving(by))
      throw new OperationError(
        'too_stale',
        `the index is ${complete ? `${Math.round(staleMs)} ms stale` : 'not complete'}, and at most ${maxStalenessMs} ms are asked for; wait, or ask for less`,
        { retryAfterMs: 500 },
      )
    },
    wrote(positions, by) {
      const now = Date.now()
      const documents: Record<number, number[]> = {}
      for (const { partition, offset } of positions) {
        sawEnd(partition, offset + 1, now)
        documents[partition] ??= []
        documents[partition].push(offset)
        writers.set(`${partition}/${offset}`, nameOf(by))
        if (writers.size > RECEIPTS_MAX) writers.delete(writers.keys().next().value!)
      }
      return { epoch, documents }
    },
    progressed(listener) {
      listeners.add(listener)
      for (const [, value] of progressTable.entries()) if (value.epoch === epoch) listener(value)
      return () => void listeners.delete(listener)
    },
    unheardMs: () => Date.now() - heardAt,
    async close() {
      closed.abort()
      await Promise.all([looking, progressTable.close(), positionTable.close(), receiptTail.close()])
    },
  }
}

/** One collection. */
interface Followed {
  /** By partition. */
  readonly frontiers: readonly Frontier[]
  /** Partitions whose watermark something holds back. */
  readonly held: Set<number>
}

interface Wanted {
  readonly partition: number
  readonly offset: number
  /** This position itself, not all before it. */
  readonly own: boolean
}

const nameOf = ({ tenant, subject }: Caller): string => `${tenant} ${subject}`

/** Instead of a reason that may quote a document which the caller may not be shown. */
const UNTOLD = 'why is told to whoever published it, and to members of every group'

const RECEIPTS_MAX = 50_000
/** How long a receipt is waited for once the index has what it is about; of old positions it is not kept. */
const RECEIPT_MS_MAX = 500
/** How soon the end of a log is noticed that others write to. */
const LOOK_EVERY_MS = 250
