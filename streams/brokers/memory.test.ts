import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import type { NewRecord, Position } from '../broker.ts'
import { Fenced, Retry } from '../errors.ts'
import { brokerContract } from './contract.ts'
import { type MemoryBroker, memoryBroker } from './memory.ts'

brokerContract('the memory broker', async () => {
  const broker = memoryBroker()
  let topics = 0
  return {
    broker,
    uniqueTopic: (prefix) => `${prefix}-${topics++}`,
    truncate: async (before) => broker.truncate(before),
    async abandon(id, records) {
      const producer = await broker.transactionalProducer(id, { timeoutMs: 60_000 })
      broker.faults.beforeCommit = () => {
        throw new Retry('died')
      }
      await producer.commit(records).catch(() => {})
      delete broker.faults.beforeCommit
    },
    cleanup: () => broker.close(),
  }
})

const TOPIC = 'documents'

async function brokerWithTopic(now: () => number = () => 5): Promise<MemoryBroker> {
  const broker = memoryBroker({ now })
  await broker.admin.createTopics([{ name: TOPIC, partitions: 1, replicationFactor: 1, config: {} }])
  return broker
}

const record = (key: string, value: string | null): NewRecord => ({
  topic: TOPIC,
  partition: 0,
  key,
  value: value === null ? null : Buffer.from(value),
})

const offsets = (records: readonly Position[]): number[] => records.map(({ offset }) => offset)

test('a compacted topic keeps the latest record of each key, and readers pass over the holes', async () => {
  const broker = await brokerWithTopic()
  const producer = await broker.producer()
  await producer.send([record('x', '1'), record('y', '1'), record('x', '2'), record('y', null)])

  broker.compact(TOPIC)
  const kept = offsets(broker.records(TOPIC))
  broker.compact(TOPIC, 'drop')
  const ends: number[][] = []
  await broker.tail({
    topics: [TOPIC],
    from: 'start',
    fetched: ({ records, next, end }) => ends.push([...offsets(records), next, end]),
    failed: assert.fail,
  })
  await broker.idle()

  assert.deepEqual(kept, [2, 3])
  assert.deepEqual(offsets(broker.records(TOPIC)), [2])
  assert.deepEqual(ends, [[2, 4, 4]])
})

test('a record is stamped with the time at which it was appended, not sent', async () => {
  let time = 1
  const broker = await brokerWithTopic(() => time)
  const producer = await broker.producer()
  broker.faults.beforeSend = () => {
    time = 2
  }

  await producer.send([record('x', '1')])

  assert.equal(broker.records(TOPIC)[0]!.timestamp, 2)
})

test('a lost response leaves the record written, a lost request does not, and both look the same', async () => {
  const broker = await brokerWithTopic()
  const producer = await broker.producer()
  const lose = () => {
    throw new Retry('no answer')
  }

  broker.faults.beforeSend = lose
  await assert.rejects(producer.send([record('request', '1')]), { message: 'no answer' })
  delete broker.faults.beforeSend
  broker.faults.afterSend = lose
  await assert.rejects(producer.send([record('response', '1')]), { message: 'no answer' })

  assert.deepEqual(
    broker.records(TOPIC).map(({ key }) => String(key)),
    ['response'],
  )
})

test('sends of one producer stay in order however long each is held up', async () => {
  const broker = await brokerWithTopic()
  const producer = await broker.producer()
  const gate = Promise.withResolvers<void>()
  broker.faults.beforeSend = ([first]) => (first!.key === 'slow' ? gate.promise : undefined)

  const sent = [producer.send([record('slow', '1')]), producer.send([record('fast', '2')])]
  gate.resolve()
  await Promise.all(sent)

  assert.deepEqual(
    broker.records(TOPIC).map(({ key }) => String(key)),
    ['slow', 'fast'],
  )
})

test('a transaction that nobody ends expires by the clock, and its producer is fenced', async () => {
  let time = 0
  const broker = await brokerWithTopic(() => time)
  const producer = await broker.transactionalProducer('id', { timeoutMs: 10 })
  broker.faults.beforeCommit = () => {
    time = 10
  }

  await assert.rejects(producer.commit([record('x', '1')]), Fenced)
  const [offsets] = await broker.admin.offsets(TOPIC)

  assert.equal(offsets!.end, 2, 'the record and the marker of its abortion')
  assert.deepEqual(broker.records(TOPIC), [])
})

test('closing a producer aborts what it had open', async () => {
  const broker = await brokerWithTopic()
  const producer = await broker.transactionalProducer('id', { timeoutMs: 10_000 })
  broker.faults.beforeCommit = () => {
    throw new Retry('no answer')
  }
  await assert.rejects(producer.commit([record('x', '1')]), Retry)

  await producer.close()
  delete broker.faults.beforeCommit
  const other = await broker.producer()
  await other.send([record('y', '2')])

  assert.deepEqual(offsets(broker.records(TOPIC)), [2])
})

test('idle waits for an assignment that is not answered yet, and for all that it leads to', async () => {
  const broker = await brokerWithTopic()
  const producer = await broker.producer()
  await producer.send([record('x', '1')])
  const start = Promise.withResolvers<number>()
  let received = 0
  await broker.consumeGroup({
    group: 'g',
    topics: [TOPIC],
    on: {
      assigned: () => start.promise,
      fetched: ({ records }) => {
        received += records.length
      },
      revoked() {},
      failed: assert.fail,
    },
  })

  let idle = false
  const becomesIdle = broker.idle().then(() => {
    idle = true
  })
  await new Promise((resolve) => setImmediate(resolve))
  const before = idle
  start.resolve(0)
  await becomesIdle

  assert.equal(before, false)
  assert.equal(received, 1)
})
