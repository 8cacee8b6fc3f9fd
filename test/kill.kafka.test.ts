import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manifestId, markerId, readPayload } from '../connectors/qdrant/points.ts'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { loadKeys, openLoad } from './load.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform, type Platform } from './platform.ts'
import { receiptsOf } from './topic-records.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const rounds = 6
/** What a kill waits for: a write of manifests, or of a marker, of which the receipts come after. */
const moments = ['manifest', 'marker'] as const

test(`a worker that is killed again and again loses no document and no receipt (seed ${seed})`, async (t) => {
  // Two platforms at once, since most of a round is Kafka's wait for the dead member.
  const campaigns = await Promise.all([seed, seed + 1].map(campaign))

  const hits = campaigns.reduce((sum, each) => sum + each.unreceipted, 0)
  t.diagnostic(`${hits} of ${2 * rounds} kills hit between the index write and its receipts`)
  for (const { served, lost, garbage } of campaigns) {
    assert.deepEqual(served, [])
    assert.deepEqual(lost, [])
    assert.deepEqual(garbage, [])
  }
  assert.ok(hits > 0, 'no kill hit the moment that this test is about; give it more rounds')
})

async function campaign(own: number) {
  await using platform = await openPlatform()
  let worker = await platform.worker()
  const load = await openLoad(platform, own)
  let unreceipted = 0
  for (let round = 1; round <= rounds; round++) {
    const writes = indexWrites(platform, moments[round % 2]!, 1 + Math.floor(load.next() * 2))
    await load.write(150)
    await writes
    await worker.kill('SIGKILL')
    unreceipted += (await appliedWithoutReceipt(platform)).length > 0 ? 1 : 0
    worker = await platform.worker()
  }
  await atRest(platform)
  return { ...(await differences(platform)), lost: await unaccounted(platform), unreceipted }
}

/** Resolves as soon as points of this kind are seen to have changed so many times. */
async function indexWrites(
  { qdrant, collection, partitions, tenant }: Platform,
  kind: (typeof moments)[number],
  times: number,
) {
  const markers = Array.from({ length: partitions }, (_, partition) => markerId(partition))
  const ids = kind === 'marker' ? markers : loadKeys(tenant).map(manifestId)
  const withPayload = { selectorOptions: { case: 'include' as const, value: { fields: ['fence', 'applied'] } } }
  const look = async () => {
    const { result } = await qdrant.points.get({ collectionName: collection, ids, withPayload }, { timeoutMs: 5_000 })
    return JSON.stringify(result.map(({ id, payload }) => [id?.pointIdOptions.value, readPayload(payload)]).sort())
  }
  let before = await look()
  let changes = 0
  // As fast as Qdrant answers, so as not to come too late; where there are fewer changes than that, the work is done.
  const deadline = performance.now() + 3_000
  while (changes < times && performance.now() < deadline) {
    const now = await look()
    if (now !== before) changes++
    before = now
  }
}

/** Documents whose revision in the index has no receipt yet. */
async function appliedWithoutReceipt(platform: Platform): Promise<string[]> {
  const receipts = new Set((await receiptsOf(platform)).map(({ partition, offset }) => `${partition}/${offset}`))
  const manifests = (await pointsOf(platform)).filter((point) => kindOf(point) === 'manifest')
  return manifests.flatMap(({ payload: { key, fence } }) => {
    const at = `${platform.partitionOf(String(key))}/${String(fence).split(':')[1]}`
    return receipts.has(at) ? [] : [at]
  })
}
