import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../engine/hash-engine.ts'
import { collectionKey, firstCollection, spaceKey } from '../processors/collections.ts'
import type { Control, Progress } from '../schemas/records.ts'
import { control, documents, indexed, progress, vectors } from '../schemas/topics.ts'
import { openTable } from '../streams/table.ts'
import { nameIn } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { openLoad } from './load.ts'
import { openPlatform, type Platform } from './platform.ts'
import { startProcess } from './process.ts'
import { until } from './until.ts'

const young = hashEngine({ version: '2' }).space
const seed = Number(process.env.FRESHET_SEED ?? 20261124)

test('a worker of another model than the platform’s ends before it touches anything, and says which two spaces there are', async () => {
  await using platform = await openPlatform()
  const worker = await platform.worker()
  await worker.kill('SIGTERM')
  const topics = async () => (await platform.broker.admin.topics()).map(({ name }) => name).sort()
  const before = await topics()

  const other = startProcess('other worker', process.execPath, ['services/main.ts', 'worker'], {
    env: { ...platform.env, FRESHET_MODEL: 'hash@2' },
  })

  assert.equal(await other.ended, 'ended with exit code 1')
  for (const said of ['hash@2', young.id, 'hash@1', platform.scope.space, 'freshet models rollout hash@2'])
    assert.ok(other.log().includes(said), `${said} is not in:\n${other.log()}`)
  assert.deepEqual(await topics(), before)
})

test(`a worker keeps a second space beside the one that answers, and lets go of it when it is told to (seed ${seed})`, async () => {
  await using platform = await openPlatform()
  const worker = await platform.worker()
  await using load = await openLoad(platform, seed, { poison: 0 })
  await load.write(150)
  const collection = firstCollection({ ...platform.scope, space: young.id })
  const since = Date.now()

  await decide(platform, spaceKey(young.id), {
    space: { model: 'hash', version: '2', dimensions: young.dimensions, since },
  })
  const state = { space: young.id, state: 'filling' as const, since, behind: null, asOf: null }
  await decide(platform, collectionKey(collection), { collection: state })
  await load.write(150)
  await atRest(platform)
  await untilFollows(platform, collection)

  const audits = [platform.freshet('audit'), platform.freshet('audit', '--collection', collection)]
  for (const audit of audits) assert.equal(await audit.ended, 'ended with exit code 0', audit.log())
  assert.ok((await worker.metric('freshet_chunks_total', { space: young.id, from: 'model' })) > 0)
  assert.deepEqual(await receiptsBy(platform), [platform.collection])
  assert.deepEqual(await spacesWritten(platform), [platform.scope.space, young.id].sort())

  await decide(platform, collectionKey(collection), { collection: { ...state, state: 'retiring' } })
  await until('the second space is let go of', () => worker.log().includes('this space is not kept any more'))
  await load.write(20)
  await atRest(platform)
})

test('a space whose model cannot be opened is a state, and the one that answers goes on', async () => {
  await using platform = await openPlatform()
  const worker = await platform.worker()
  const since = Date.now()

  await decide(platform, spaceKey('es_ee'), { space: { model: 'nobody', version: '1', dimensions: 3, since } })
  const state = { space: 'es_ee', state: 'filling' as const, since, behind: null, asOf: null }
  await decide(platform, collectionKey(`${platform.scope.prefix}es_ee`), { collection: state })

  const subject = 'space es_ee'
  await until('the state is there', async () => (await worker.metric('freshet_state', { subject })) === 1)
  await using load = await openLoad(platform, seed, { poison: 0 })
  await load.write(20)
  await atRest(platform)
  const ready = await fetch(`${worker.adminUrl}/health/ready`)
  const { states } = (await ready.json()) as { states: { name: string; detail: string }[] }
  assert.equal(ready.status, 200)
  assert.deepEqual(
    states.map(({ name }) => name),
    ['model-unavailable'],
  )
  assert.match(states[0]!.detail, /nobody/)
})

async function decide(platform: Platform, key: string, record: Partial<Control>): Promise<void> {
  const producer = await platform.broker.producer()
  const value = platform.serde.encode(control, record)
  await producer.send([{ topic: platform.topic(control), partition: 0, key, value }])
  await producer.close()
}

/** Every position that `documents` has now is in the collection. */
async function untilFollows({ broker, serde, scope, topic }: Platform, collection: string): Promise<void> {
  const ends = await broker.admin.offsets(topic(documents))
  const table = await openTable<Progress>(progress, { broker, serde, scope, failed() {} })
  await until(`${collection} follows`, async () => {
    await table.sync()
    const open = ends.filter(({ partition, end }) => (table.get(`${collection}/${partition}`)?.low ?? -1) < end - 1)
    return open.length === 0 || `open are ${JSON.stringify(open)}`
  })
  await table.close()
}

async function receiptsBy({ broker, serde, topic, partitions }: Platform): Promise<string[]> {
  const by = new Set<string>()
  for (let partition = 0; partition < partitions; partition++) {
    const { end } = (await broker.admin.offsets(topic(indexed))).find((each) => each.partition === partition)!
    for await (const { records } of broker.read({ topic: topic(indexed), partition, from: 0, to: end }))
      for (const { value } of records)
        if (value !== null) by.add(((await serde.decode(indexed, value)) as { collection: string }).collection)
  }
  return [...by].sort()
}

async function spacesWritten({ broker, scope }: Platform): Promise<string[]> {
  const before = nameIn({ ...scope, space: '' }, vectors)
  const names = (await broker.admin.topics()).map(({ name }) => name)
  return names.flatMap((name) => (name.startsWith(before) ? [name.slice(before.length)] : [])).sort()
}
