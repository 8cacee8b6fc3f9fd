import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { Distance } from '@qdrant/js-client-grpc'
import { repositoryDir } from '../../infra/local/settings.ts'
import { cleaningVersion } from '../../processors/clean-text.ts'
import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { catalogue, documents } from '../../schemas/topics.ts'
import { type Point, pointsOf } from '../index-points.ts'
import { type Load, openLoad } from '../load.ts'
import { judge } from '../oracle/judge.ts'
import { worldOf } from '../oracle/platform-world.ts'
import { openPlatform } from '../platform.ts'
import { startProcess } from '../process.ts'
import { until } from '../until.ts'
import type { NaiveOptions } from './naive-pipeline.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const platform = await openPlatform()
const { broker, scope, partitions, serde, qdrant, collection, engine } = platform
await ensureTopics(broker.admin, { scope, partitions, replicationFactor: 1 })
await serde.register(catalogue)
const { dimensions } = engine.space
await qdrant.collections.create({
  collectionName: collection,
  vectorsConfig: { config: { case: 'params', value: { size: BigInt(dimensions), distance: Distance.Dot } } },
})
const options: NaiveOptions = {
  kafka: platform.urls.kafka,
  registry: platform.urls.registry,
  qdrantUrl: platform.urls.qdrant,
  topic: platform.topic(documents),
  collection,
}
const naive = startProcess('naive', process.execPath, ['test/naive/naive-pipeline.ts', JSON.stringify(options)], {
  cwd: repositoryDir,
})
after(async () => {
  await naive[Symbol.asyncDispose]()
  await platform[Symbol.asyncDispose]()
})

test(`the oracle finds what a naive pipeline leaves: orphans, and two revisions in one document (seed ${seed})`, async (t) => {
  await using load = await openLoad(platform, seed, { poison: 0, inboxShare: 0 })

  await load.write(400)
  await until('the naive pipeline has read everything', isRead)
  const found = await findings(load)

  t.diagnostic(JSON.stringify(count(found)))
  assert.ok(
    found.some((what) => what.startsWith('I2 orphan')),
    'no orphan was found',
  )
  assert.ok(
    found.some((what) => what.startsWith('I3') && what.includes('mixes the revisions')),
    'no mixed revisions were found',
  )
})

test(`the oracle finds that one bad record stops a naive pipeline for good (seed ${seed})`, async (t) => {
  await using load = await openLoad(platform, seed + 1, { poison: 0.05, inboxShare: 0 })

  await load.write(200)
  await until('the naive pipeline has crashed again and again', () => naive.log().split('crashed: ').length > 3, 60_000)
  const found = await findings(load)

  t.diagnostic(JSON.stringify(count(found)))
  assert.ok(
    found.some((what) => what.startsWith('I2 stale')),
    'no stale document was found',
  )
  assert.ok(
    found.some((what) => what.startsWith('I6') && what.includes('has no dead letter')),
    'no missing dead letter was found',
  )
})

let earlier: Load['sent'] = []

/** Its points as the oracle takes them: all of a key are served, by the newest revision that one of them is of. */
async function findings({ sent }: Load): Promise<string[]> {
  earlier = [...earlier, ...sent]
  const world = await worldOf(platform, { sent: earlier })
  const byKey = Map.groupBy(await pointsOf(platform), ({ payload }) => String(payload.key))
  const hits = [...byKey.values()].flat().map(({ payload }) => ({
    key: String(payload.key),
    offset: Number(payload.offset),
    ordinal: Number(payload.ordinal),
    text: String(payload.text),
  }))
  const reader = { reader: 'reader', atMs: 0, lows: null, whole: [], deleted: [] }
  const { findings: found } = await judge(
    {
      ...world,
      points: [...byKey].flatMap(([key, points]) => asServed(key, points)),
      answers: ['acme', 'zenith'].map((tenant) => ({
        ...reader,
        tenant,
        hits: hits.filter(({ key }) => key.startsWith(tenant)),
      })),
    },
    [],
  )
  return found.map(({ invariant, what }) => `${invariant} ${what}`)
}

function asServed(key: string, points: readonly Point[]): Point[] {
  const tenant = key.split('/')[0]
  const fence = `1:${Math.max(...points.map(({ payload }) => Number(payload.offset)))}:0`
  const manifest = {
    kind: 'manifest',
    key,
    tenant,
    fence,
    content: fence,
    deleted: false,
    chunks: points.length,
    pipeline: `${cleaningVersion}+d1`,
  }
  return [
    { id: `manifest of ${key}`, payload: manifest, vectors: {} },
    ...points.map((point) => ({ ...point, payload: { ...point.payload, kind: 'chunk', tenant, fence } })),
  ]
}

async function isRead(): Promise<boolean | string> {
  const name = platform.topic(documents)
  const committed = await broker.admin.committed(`${name}.naive`, name)
  const open = (await broker.admin.offsets(name)).filter(
    ({ partition, end }) => end > 0 && (committed.find((each) => each.partition === partition)?.offset ?? 0) < end,
  )
  return open.length === 0 || open.map(({ partition, end }) => `${partition} up to ${end}`).join(', ')
}

/** How often each kind was found. */
function count(found: readonly string[]): Record<string, number> {
  const kinds = Map.groupBy(found, (what) =>
    what
      .split(/[:,] /)[0]!
      .replace(/\S+[/#]\S+/g, '…')
      .slice(0, 40),
  )
  return Object.fromEntries([...kinds].map(([kind, all]) => [kind, all.length]))
}
