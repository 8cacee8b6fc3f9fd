import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../engine/hash-engine.ts'
import { firstCollection } from '../processors/collections.ts'
import type { Receipt } from '../schemas/records.ts'
import { indexed, vectors } from '../schemas/topics.ts'
import { nameIn } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { collectionsOf, completes, killedAt, replaced } from './killed-command.ts'
import { openLoad } from './load.ts'
import { openPlatform, type Platform } from './platform.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)
const rollout = ['models', 'rollout', 'hash@2']

/** Commands, and what each says before a step: at each it is killed once, and at some the worker is too. */
const kills: readonly { readonly command: readonly string[]; readonly says: string; readonly worker: boolean }[] = [
  { command: rollout, says: 'is the space of hash@2', worker: false },
  { command: rollout, says: 'is filled with what hash@2 makes', worker: false },
  { command: rollout, says: 'positions left', worker: true },
  { command: rollout, says: 'comparing', worker: false },
  { command: ['models', 'promote'], says: 'stays behind', worker: true },
]

test(`a rollout that is killed at each step, with its workers, goes on; both collections are equal to documents, and no receipt is lost (seed ${seed})`, async (t) => {
  await using platform = await openPlatform({ env: { FRESHET_REBUILD_RECORDS_PER_SECOND_MAX: '60' } })
  const workers = [await platform.worker()]
  await using load = await openLoad(platform, seed, { poison: 0 })
  await load.write(400)
  await atRest(platform)
  const young = firstCollection({ ...platform.scope, space: hashEngine({ version: '2' }).space.id })

  const flow = load.flow(10)
  const killed = async (): Promise<void> => {
    for (const { command, says, worker } of kills) {
      await killedAt(says, command, platform)
      if (worker) await replaced(workers, platform)
    }
    await completes(platform, ...rollout)
    await completes(platform, 'models', 'canary', '--percent', '5')
    await completes(platform, 'models', 'promote')
  }
  await killed().finally(() => flow.stop())
  await load.write(60)
  await settled(platform, young)

  assert.equal(await platform.serving(), young)
  await inSync(platform, platform.collection, young)
  assert.deepEqual(await withoutReceipt(platform), [])

  await completes(platform, 'models', 'rollback')
  await load.write(60)
  await settled(platform, platform.collection)
  assert.equal(await platform.serving(), platform.collection)
  await inSync(platform, platform.collection, young)
  assert.deepEqual(await withoutReceipt(platform), [])

  await completes(platform, 'models', 'promote')
  await completes(platform, 'models', 'retire')
  assert.deepEqual(await collectionsOf(platform), [young])
  await load.write(30)
  await settled(platform, young)
  await inSync(platform, young)
  t.diagnostic(`${load.sent.length} records, ${(await receiptsOf(platform)).length} receipts`)
})

/** All that is in `inbox` and `documents` is in the collection that answers. */
const settled = (platform: Platform, collection: string): Promise<void> => atRest({ ...platform, collection })

async function inSync(platform: Platform, ...collections: readonly string[]): Promise<void> {
  for (const collection of collections) await completes(platform, 'audit', '--collection', collection)
}

/** Positions of `documents` that some space has made vectors of, and that have no receipt. */
async function withoutReceipt(platform: Platform): Promise<string[]> {
  const answered = new Set((await receiptsOf(platform)).map(({ partition, offset }) => `${partition}:${offset}`))
  const { broker, scope, partitions } = platform
  const topic = nameIn(scope, vectors)
  const open: string[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const { end } = (await broker.admin.offsets(topic)).find((each) => each.partition === partition)!
    for await (const { records } of broker.read({ topic, partition, from: 0, to: end }))
      for (const { headers } of records) {
        const [of, offset] = headers.position?.toString().split(':') ?? []
        if (offset !== undefined && !answered.has(`${of}:${offset}`)) open.push(`${of}:${offset}`)
      }
  }
  return open
}

async function receiptsOf({ broker, serde, topic, partitions }: Platform): Promise<Receipt[]> {
  const receipts: Receipt[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const { end } = (await broker.admin.offsets(topic(indexed))).find((each) => each.partition === partition)!
    for await (const { records } of broker.read({ topic: topic(indexed), partition, from: 0, to: end }))
      for (const { value } of records)
        if (value !== null) receipts.push((await serde.decode(indexed, value)) as Receipt)
  }
  return receipts
}
