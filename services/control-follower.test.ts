import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Control } from '../schemas/records.ts'
import { control } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { memoryBroker } from '../streams/brokers/memory.ts'
import { virtualClock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { States } from '../streams/states.ts'
import { openTable } from '../streams/table.ts'
import { followControl } from './control-follower.ts'

async function world() {
  const scope = { prefix: '', space: '' }
  const memory = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([control])
  const { name, config } = control
  await memory.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config }])
  const kafka = { isAway: false }
  const broker: Broker = {
    ...memory,
    tail: memory.tail.bind(memory),
    admin: {
      ...memory.admin,
      offsets(topic) {
        if (kafka.isAway) throw new Retry('nobody answers')
        return memory.admin.offsets(topic)
      },
    },
  }
  const clock = virtualClock()
  const states = new States(clock.now)
  const failed = (error: Error) => {
    throw error
  }
  const follower = await followControl((options) => openTable(control, { broker, serde, scope, ...options }), {
    subject: 'gateway',
    states,
    unheardMsMax: 60_000,
    clock,
    failed,
  })
  return {
    follower,
    states,
    kafka,
    async write(key: string, value: Partial<Control>) {
      const producer = await memory.producer()
      await producer.send([{ topic: name, partition: 0, key, value: serde.encode(control, value) }])
    },
    async pass(ms: number) {
      for (let passed = 0; passed < ms; passed += 1_000) {
        clock.advance(1_000)
        // The look that is due then is over.
        for (let i = 0; i < 20; i++) await turn()
      }
    },
    async [Symbol.asyncDispose]() {
      await follower.close()
      await memory.close()
    },
  }
}

test('decisions are told once each to all who listen, from the same reading of the topic', async () => {
  await using here = await world()
  const heard: string[] = []
  for (const who of ['keys', 'serving']) here.follower.changed((subject) => heard.push(`${who} ${subject}`))

  await here.write('serving', { serving: { space: 'es_1', collection: 'es_1', since: null, canary: null } })
  await here.follower.sync()

  assert.deepEqual(heard, ['keys serving', 'serving serving'])
  assert.equal(here.follower.get('serving')?.serving?.collection, 'es_1')
})

test('while Kafka is away a state says so, which keeps nobody from answering until what is known is too old', async () => {
  await using here = await world()
  const present = () => here.states.present().map(({ name, blocking }) => ({ name, blocking }))
  await here.pass(30_000)
  const heardMs = here.follower.unheardMs()

  here.kafka.isAway = true
  await here.pass(30_000)
  const soon = { states: present(), unheardMs: here.follower.unheardMs() }
  await here.pass(40_000)
  const late = { states: present(), unheardMs: here.follower.unheardMs() }
  here.kafka.isAway = false
  await here.pass(10_000)

  assert.ok(heardMs <= 2_000, `heard ${heardMs} ms ago`)
  assert.deepEqual(soon.states, [{ name: 'control-unheard', blocking: false }])
  assert.ok(soon.unheardMs >= 30_000 && soon.unheardMs < 60_000, `${soon.unheardMs}`)
  assert.deepEqual(late.states, [{ name: 'control-unheard', blocking: true }])
  assert.ok(late.unheardMs > 60_000)
  assert.deepEqual(present(), [])
  assert.ok(here.follower.unheardMs() <= 2_000)
})
