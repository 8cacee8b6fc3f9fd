import assert from 'node:assert/strict'
import { test } from 'node:test'
import { brokerContract } from './contract.ts'
import { memoryBroker } from './memory.ts'

brokerContract('the memory broker', async () => {
  const broker = memoryBroker()
  let topics = 0
  return { broker, uniqueTopic: (prefix) => `${prefix}-${topics++}`, cleanup: () => broker.close() }
})

test('a compacted topic keeps the latest record of each key, and readers pass over the holes', async () => {
  const broker = memoryBroker({ now: () => 5 })
  await broker.admin.createTopics([{ name: 'a', partitions: 1, replicationFactor: 1, config: {} }])
  const producer = await broker.producer()
  const record = (key: string, value: string | null) => ({
    topic: 'a',
    partition: 0,
    key,
    value: value === null ? null : Buffer.from(value),
  })
  await producer.send([record('x', '1'), record('y', '1'), record('x', '2'), record('y', null)])

  broker.compact('a')
  const kept = broker.records('a').map(({ offset, timestamp }) => [offset, timestamp])
  broker.compact('a', 'drop')

  assert.deepEqual(kept, [
    [2, 5],
    [3, 5],
  ])
  assert.deepEqual(
    broker.records('a').map(({ offset }) => offset),
    [2],
  )
})
