import { setTimeout as delay } from 'node:timers/promises'
import { connectQdrant } from '../connectors/qdrant/client.ts'
import type { BenchContext } from './bench.ts'
import { shortTexts } from './latency.ts'
import type { Platform } from './platform.ts'
import { type Figure, median, percentile } from './report.ts'
import { usageOf } from './usage.ts'

/** What a thousand small tenants cost beside one that has as many documents: topics, collections, points, memory and CPU at rest, searches. */
export async function tenants({ rounds, stack, open, say }: BenchContext): Promise<Figure[]> {
  const texts = shortTexts(TENANTS)
  const sides: Record<Side, Seen[]> = { one: [], many: [] }
  for (let round = 0; round < rounds; round++)
    for (const side of round % 2 === 0 ? (['one', 'many'] as const) : (['many', 'one'] as const)) {
      await using platform = await open(`tenants-${side}`)
      const seen = await see(platform, stack.urls.qdrant, stack.part('qdrant').pid!, texts, (i) =>
        side === 'one' ? 'acme' : `tenant-${i}`,
      )
      sides[side].push(seen)
      say(`round ${round + 1}, ${side}: ${seen.points} points, search p50 ${seen.searchMs.toFixed(1)} ms`)
    }
  return measures.flatMap(({ name, unit, of }) =>
    (['one', 'many'] as const).map((side) => ({
      name: `${name}: ${side === 'one' ? 'one tenant' : `${TENANTS} tenants`}`,
      unit,
      values: sides[side].map(of),
    })),
  )
}

type Side = 'one' | 'many'

interface Seen {
  readonly topics: number
  readonly collections: number
  readonly points: number
  readonly workerMiB: number
  readonly queryMiB: number
  readonly qdrantMiB: number
  readonly idleCpu: number
  readonly searchMs: number
  readonly searchMs95: number
}

const measures: readonly { name: string; unit: string; of(seen: Seen): number }[] = [
  { name: 'topics', unit: '', of: ({ topics }) => topics },
  { name: 'collections', unit: '', of: ({ collections }) => collections },
  { name: 'points', unit: '', of: ({ points }) => points },
  { name: 'memory of the worker at rest', unit: 'MiB', of: ({ workerMiB }) => workerMiB },
  { name: 'memory of the query service at rest', unit: 'MiB', of: ({ queryMiB }) => queryMiB },
  { name: 'memory of Qdrant at rest', unit: 'MiB', of: ({ qdrantMiB }) => qdrantMiB },
  { name: 'CPU of worker and query at rest', unit: '% of a core', of: ({ idleCpu }) => idleCpu },
  { name: 'search, p50', unit: 'ms', of: ({ searchMs }) => searchMs },
  { name: 'search, p95', unit: 'ms', of: ({ searchMs95 }) => searchMs95 },
]

/** A document for each text, by the door, of the tenant that `tenantOf` says; then rest, then searches of each tenant. */
async function see(
  platform: Platform,
  qdrantUrl: string,
  qdrantPid: number,
  texts: readonly string[],
  tenantOf: (i: number) => string,
): Promise<Seen> {
  const door = await platform.door()
  const post = async (path: string, i: number, body: object): Promise<void> => {
    const headers = { ...door.sign(tenantOf(i)), 'content-type': 'application/json' }
    const answer = await fetch(`${door.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
    await answer.arrayBuffer()
    if (answer.status === 429) {
      await delay(Number(answer.headers.get('retry-after')) * 1_000)
      return post(path, i, body)
    }
    if (answer.status !== 200) throw new Error(`${path} is answered ${answer.status}`)
  }
  for (const [i, text] of texts.entries()) await post('/v1/documents', i, { documents: [{ id: `d${i}`, text }] })
  await platform.receipts.reached(texts.length)
  await delay(REST_MS)
  const before = platform.usage()
  await delay(REST_MS)
  const after = platform.usage()
  const searched: number[] = []
  for (let n = 0; n < SEARCHES; n++) {
    const i = (n * 37) % texts.length
    const began = performance.now()
    await post('/v1/search', i, { query: texts[i], k: 5 })
    searched.push(performance.now() - began)
  }
  const { topicPrefix, points, collections } = await counts(platform, qdrantUrl)
  return {
    topics: (await platform.broker.admin.topics()).filter(({ name }) => name.startsWith(topicPrefix)).length,
    collections,
    points,
    workerMiB: after.worker.rssMiB,
    queryMiB: after.query.rssMiB,
    qdrantMiB: usageOf(qdrantPid).rssMiB,
    idleCpu: (after.worker.cpuS + after.query.cpuS - before.worker.cpuS - before.query.cpuS) / (REST_MS / 1_000) / 0.01,
    searchMs: median(searched),
    searchMs95: percentile(searched, 95),
  }
}

async function counts({ scope }: Platform, url: string) {
  const qdrant = connectQdrant({ url })
  const listed = await qdrant.collections.list({}, {})
  const own = listed.collections.map(({ name }) => name).filter((name) => name.startsWith(scope.prefix))
  let points = 0
  for (const collectionName of own)
    points += Number((await qdrant.points.count({ collectionName, exact: true }, {})).result?.count ?? 0)
  return { topicPrefix: scope.prefix, points, collections: own.length }
}

const TENANTS = 1_000
const SEARCHES = 300
const REST_MS = 5_000
