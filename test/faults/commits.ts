import { setTimeout as delay } from 'node:timers/promises'
import { payloadsOf } from '../../connectors/qdrant/manifests.ts'
import { idText, markerId, readMarker } from '../../connectors/qdrant/points.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import type { Receipt } from '../../schemas/records.ts'
import { indexed, vectors } from '../../schemas/topics.ts'
import { Retry } from '../../streams/errors.ts'
import { groupOf } from '../../streams/runner.ts'
import { isLowKey } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'
import { recordsOf } from '../topic-records.ts'

/** Watches what `index-vectors` commits. Looks past every line that a row hurts. */
export interface CommitWatch {
  stop(): Promise<Commits>
}

export interface Commits {
  /** How often something new was seen to be committed. */
  readonly seen: number
  /** Commits of what was not in the index then, or had no receipt then: there must be none. */
  readonly early: readonly string[]
}

export function watchCommits(platform: Platform): CommitWatch {
  const stopped = new AbortController()
  const commits: Commit[] = []
  const watching = (async () => {
    const last = new Map<number, number>()
    while (!stopped.signal.aborted) {
      commits.push(...(await freshCommits(platform, last)))
      await delay(LOOK_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => {})
    }
  })()
  watching.catch(() => {})
  return {
    async stop() {
      stopped.abort()
      await watching
      return { seen: commits.length, early: [...notApplied(commits), ...(await withoutReceipt(platform, commits))] }
    },
  }
}

/** What is committed now, and is not in the index. */
export async function earlyNow(platform: Platform): Promise<string[]> {
  return notApplied(await freshCommits(platform, new Map()))
}

const notApplied = (commits: readonly Commit[]): string[] =>
  commits
    .filter(({ applied, offset }) => applied !== null && applied + 1 < offset)
    .map(
      ({ partition, offset, applied }) =>
        `partition ${partition} was committed at ${offset}, and the index had applied up to ${applied}`,
    )

interface Commit {
  readonly partition: number
  readonly offset: number
  /** What the index said after the commit was seen; null where it did not answer. */
  readonly applied: number | null
  /** The end of `indexed` after the commit was seen: the receipts must lie before it. */
  readonly receiptsEnd: number
}

/** What is asked later can only say more: a commit that is early by it is early. */
async function freshCommits(platform: Platform, last: Map<number, number>): Promise<Commit[]> {
  const { broker, scope, topic, qdrant, collection } = platform
  try {
    const committed = await broker.admin.committed(groupOf(scope, indexVectors), topic(vectors))
    const fresh = committed.filter(({ partition, offset }) => offset > (last.get(partition) ?? 0))
    if (fresh.length === 0) return []
    const ids = fresh.map(({ partition }) => markerId(partition))
    const points = await payloadsOf(qdrant, collection, ids, { timeoutMs: 5_000 }).catch(() => null)
    const ends = await broker.admin.offsets(topic(indexed))
    return fresh.map(({ partition, offset }) => {
      last.set(partition, offset)
      const marker = points?.get(idText(markerId(partition)))
      const applied = points === null ? null : marker === undefined ? -1 : readMarker(marker).applied
      return { partition, offset, applied, receiptsEnd: ends.find((each) => each.partition === partition)!.end }
    })
  } catch (error) {
    if (error instanceof Retry) return []
    throw error
  }
}

/** Records of `vectors` that were committed when `indexed` ended before their receipt. */
async function withoutReceipt(platform: Platform, commits: readonly Commit[]): Promise<string[]> {
  const records = (await recordsOf(platform, vectors)).filter(({ key }) => !isLowKey(key))
  const places = new Map<string, number>()
  for (const { partition, offset, value } of await recordsOf(platform, indexed)) {
    const { vectorsOffset } = (await platform.serde.decode(indexed, value!)) as Receipt
    const at = `${partition}/${vectorsOffset}`
    if (!places.has(at)) places.set(at, offset)
  }
  return commits.flatMap(({ partition, offset: committed, receiptsEnd }) =>
    records
      .filter((record) => record.partition === partition && record.offset < committed)
      .filter(({ offset }) => (places.get(`${partition}/${offset}`) ?? Infinity) >= receiptsEnd)
      .map(({ offset }) => `vectors ${partition}/${offset} was committed before its receipt was there`),
  )
}

const LOOK_EVERY_MS = 100
