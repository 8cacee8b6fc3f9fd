import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { openLoad } from './load.ts'
import { differences, unaccounted } from './oracle.ts'
import { openPlatform, type Platform } from './platform.ts'
import { receiptsOf } from './topic-records.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const rounds = 5
/** From the write of the load to the kill: about as long as the worker takes for it. */
const killMsMax = 400

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
    await load.write(150)
    await delay(load.next() * killMsMax)
    await worker.kill('SIGKILL')
    unreceipted += (await appliedWithoutReceipt(platform)).length > 0 ? 1 : 0
    worker = await platform.worker()
  }
  await atRest(platform)
  return { ...(await differences(platform)), lost: await unaccounted(platform), unreceipted }
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
