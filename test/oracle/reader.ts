import { setTimeout as delay } from 'node:timers/promises'
import { type Client, connect, FreshetError, type SearchAnswer } from '../../client/client.ts'
import { manifestsIn, payloadsOf } from '../../connectors/qdrant/manifests.ts'
import { manifestId, readPayload } from '../../connectors/qdrant/points.ts'
import { fenceText } from '../../processors/fence.ts'
import type { Manifest } from '../../processors/vector-index.ts'
import { progress } from '../../schemas/topics.ts'
import { positionsOf } from '../../search/freshness.ts'
import { systemClock } from '../../streams/clock.ts'
import { openTable } from '../../streams/table.ts'
import type { Platform } from '../platform.ts'
import type { Answer, AnsweredChunk } from './answers.ts'

/** Looks again and again while faults happen, and keeps all it was told, for the oracle. */
export interface Reader {
  readonly answers: readonly Answer[]
  /** What did not answer, and why: an outage is no finding. */
  readonly refusals: readonly string[]
  stop(): Promise<void>
}

/** Asks the query service, one document after the other. */
export function readQueries(name: string, url: () => string, tenant: string, keys: readonly string[]): Reader {
  let client: Client | null = null
  return poll(
    async (round) => {
      const key = keys[round % keys.length]!
      const atMs = Date.now()
      try {
        client ??= await connect(url(), { reconnect: false })
        return answerOf(await client.search({ query: `Revision of ${key}`, k: 40 }), { reader: name, tenant, atMs })
      } catch (error) {
        if (!(error instanceof FreshetError)) throw error
        if (error.code === 'closed' || error.code === 'unreachable') client = null
        throw new Refused(`${error.code}: ${error.message}`)
      }
    },
    async () => await client?.close(),
  )
}

/** What a search was told, as the oracle judges it. */
export function answerOf(
  { hits, asOf }: Pick<SearchAnswer, 'hits' | 'asOf'>,
  { reader, tenant, atMs }: { reader: string; tenant: string; atMs: number },
): Answer {
  const positions = positionsOf(asOf.token)!.documents
  return {
    reader,
    tenant,
    atMs,
    lows: new Map(Object.entries(positions).map(([partition, low]) => [Number(partition), Number(low)])),
    hits: hits.map(({ documentId, revision, ordinal, text }) => ({
      key: `${tenant}/${documentId}`,
      epoch: Number(revision.split(':')[0]),
      offset: Number(revision.split(':')[1]),
      ordinal,
      text,
    })),
    whole: [],
    deleted: [],
  }
}

/** Looks into the index itself, as search does: a document's manifest, its chunks, and its manifest again. */
export async function readIndex(
  name: string,
  platform: Platform,
  tenant: string,
  keys: readonly string[],
): Promise<Reader> {
  const { broker, serde, scope, collection } = platform
  const lows = new Map<number, number>()
  const table = await openTable(progress, {
    broker,
    serde,
    scope,
    clock: systemClock,
    // Kafka is hurt by some faults: what was known last is then claimed on.
    failed() {},
    changed(_key, value) {
      if (value?.collection === collection) lows.set(value.partition, value.low)
    },
  })
  return poll(
    async (round) => {
      const asked = Array.from({ length: KEYS_AT_ONCE }, (_, i) => keys[(round * KEYS_AT_ONCE + i) % keys.length]!)
      const [atMs, claimed] = [Date.now(), new Map(lows)]
      const before = await manifestsOf(platform, asked)
      const chunks = await chunksOf(platform, asked)
      const after = await manifestsOf(platform, asked)
      const steady = asked
        .map((key, i) => ({ key, manifest: before[i]!, stayed: same(before[i]!, after[i]!) }))
        .filter(({ stayed }) => stayed)
      const served = steady.filter(
        ({ manifest }) => manifest !== null && !manifest.deleted && manifest.content !== null,
      )
      const contents = new Map(served.map(({ key, manifest }) => [key, fenceText(manifest!.content!)]))
      return {
        reader: name,
        tenant,
        atMs,
        lows: claimed,
        hits: chunks.filter(({ key, fence }) => contents.get(key) === fence),
        whole: [...contents.keys()],
        seen: new Map(served.map(({ key, manifest }) => [key, manifest!.fence.offset])),
        deleted: steady.flatMap(({ key, manifest }) =>
          manifest?.deleted ? [{ key, epoch: manifest.fence.epoch, offset: manifest.fence.offset }] : [],
        ),
        absent: steady.flatMap(({ key, manifest }) => (manifest === null ? [key] : [])),
      }
    },
    () => table.close(),
  )
}

const KEYS_AT_ONCE = 10

const same = (a: Manifest | null, b: Manifest | null): boolean =>
  a === null || b === null ? a === b : fenceText(a.fence) === fenceText(b.fence)

async function manifestsOf(
  { qdrant, collection }: Platform,
  keys: readonly string[],
): Promise<readonly (Manifest | null)[]> {
  const payloads = await reaching(payloadsOf(qdrant, collection, keys.map(manifestId), { timeoutMs: READ_MS_MAX }))
  return manifestsIn(payloads, keys)
}

async function chunksOf(
  { qdrant, collection }: Platform,
  keys: readonly string[],
): Promise<(AnsweredChunk & { fence: string })[]> {
  const keyword = (key: string, value: string) => ({
    conditionOneOf: {
      case: 'field' as const,
      value: { key, match: { matchValue: { case: 'keyword' as const, value } } },
    },
  })
  const { result } = await reaching(
    qdrant.points.scroll(
      {
        collectionName: collection,
        limit: 2_000,
        withPayload: { selectorOptions: { case: 'enable', value: true } },
        filter: { must: [keyword('kind', 'chunk')], should: keys.map((key) => keyword('key', key)) },
      },
      { timeoutMs: READ_MS_MAX },
    ),
  )
  return result.map(({ payload }) => {
    const { key, ordinal, text, fence } = readPayload(payload)
    return {
      key: String(key),
      ordinal: Number(ordinal),
      text: String(text),
      fence: String(fence),
      epoch: Number(String(fence).split(':')[0]),
      offset: Number(String(fence).split(':')[1]),
    }
  })
}

const READ_MS_MAX = 5_000

/** It did not answer. */
class Refused extends Error {}

const reaching = <T>(asked: Promise<T>): Promise<T> =>
  asked.catch((error) => {
    throw new Refused(String(error).slice(0, 200), { cause: error })
  })

function poll(look: (round: number) => Promise<Answer>, close: () => Promise<unknown>): Reader {
  const answers: Answer[] = []
  const refusals: string[] = []
  const stopped = new AbortController()
  const looking = (async () => {
    for (let round = 0; !stopped.signal.aborted; round++) {
      try {
        answers.push(await look(round))
      } catch (error) {
        if (!(error instanceof Refused)) throw error
        refusals.push(error.message)
      }
      // Leaves the machine to those who are watched.
      await delay(LOOK_EVERY_MS, undefined, { signal: stopped.signal }).catch(() => {})
    }
  })()
  looking.catch(() => {})
  return {
    answers,
    refusals,
    async stop() {
      stopped.abort()
      try {
        await looking
      } finally {
        await close()
      }
    },
  }
}

const LOOK_EVERY_MS = 40
