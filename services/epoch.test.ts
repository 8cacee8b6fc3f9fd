import assert from 'node:assert/strict'
import { test } from 'node:test'
import { control, documents } from '../schemas/topics.ts'
import { memoryBroker } from '../streams/brokers/memory.ts'
import { Retry } from '../streams/errors.ts'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { openEpochs } from './epoch.ts'

const scope = { prefix: '', space: '' }

async function platform() {
  const broker = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([control])
  const create = (name: string) =>
    broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config: {} }])
  await create(control.name)
  await create(documents.name)
  return {
    broker,
    open: () => openEpochs(broker, serde, scope),
    async recreate() {
      await broker.admin.deleteTopics([documents.name])
      await create(documents.name)
    },
  }
}

const isRecreated = (error: unknown) => error instanceof Retry && error.state === 'source-recreated'

test('the topic that is there first is the first epoch, for whoever asks', async () => {
  const { open } = await platform()
  const [one, other] = [await open(), await open()]

  await one.check()
  await other.check()
  const { recorded, present } = await other.identities()

  assert.equal(recorded?.id, present)
  assert.deepEqual([one.epoch, other.epoch, one.refusal], [1, 1, null])
})

test('a topic that was deleted, or created again, is refused until it is accepted, and then all others know', async () => {
  const { broker, open, recreate } = await platform()
  const [role, person] = [await open(), await open()]
  await role.check()
  let told = 0
  role.changed(() => told++)

  await broker.admin.deleteTopics([documents.name])
  await assert.rejects(role.check(), isRecreated)
  const gone = role.refusal
  await recreate()
  await assert.rejects(role.check(), isRecreated)
  const { present } = await role.identities()
  await assert.rejects(role.identified(documents, present!), isRecreated)
  const identity = await person.accept()
  await broker.idle()
  await role.check()

  assert.match(gone!, /topic documents was deleted \(it was .*freshet epoch --accept/)
  assert.deepEqual(identity, { id: present, epoch: 2 })
  assert.deepEqual([role.epoch, role.refusal, told], [2, null, 1])
  assert.deepEqual(await role.identified(documents, present!), { epoch: 2 })
  assert.deepEqual({ ...(await person.accept()) }, identity, 'accepted twice is accepted once')
})
