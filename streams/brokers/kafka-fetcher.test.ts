import { strict as assert } from 'node:assert'
import { type TestContext, test } from 'node:test'
import type { Fetched, Position } from '../broker.ts'
import type { Cluster, ProtocolRequest } from './kafka-client.ts'
import type { RawPartition } from './kafka-fetch.ts'
import { Fetcher } from './kafka-fetcher.ts'

/** A cluster of one broker whose answers the test gives, one for each request; asked for more, it stays silent. */
function script(t: TestContext, answers: readonly (() => readonly Partial<RawPartition>[])[]) {
  const left = [...answers]
  const told: Fetched[] = []
  const outOfRange: Position[] = []
  const failures: Error[] = []
  let drops = 0
  let wake = () => {}
  const connection = {
    async send<T>(_: ProtocolRequest<T>): Promise<T> {
      const answer = left.shift()
      if (answer === undefined) return new Promise<T>(() => {})
      const empty = { topic: 't', errorCode: 0, end: 0, lastStable: 0, aborted: [], records: Buffer.alloc(0) }
      return answer().map((partition) => ({ ...empty, ...partition })) as T
    },
  }
  const cluster = {
    refreshMetadata: async () => {},
    refreshMetadataIfNecessary: async () => {},
    findTopicPartitionMetadata: () => [0, 1].map((partitionId) => ({ partitionId, leader: 1 })),
    findBroker: async () => ({ nodeId: 1, connectionPool: { getConnection: async () => connection } }),
  } as unknown as Cluster
  const fetcher = new Fetcher({
    link: {
      cluster: async () => cluster,
      drop() {
        drops++
      },
    },
    log() {},
    fetched(batch) {
      told.push(batch)
      wake()
    },
    outOfRange(at) {
      outOfRange.push(at)
      wake()
    },
    failed(error) {
      failures.push(error)
      wake()
    },
  })
  t.after(() => fetcher.close())
  return {
    fetcher,
    told,
    outOfRange,
    failures,
    get drops() {
      return drops
    },
    async until(done: () => boolean): Promise<void> {
      while (!done()) {
        await new Promise<void>((resolve) => {
          wake = resolve
        })
      }
    },
  }
}

const at = (partition: number, offset: number): Position => ({ topic: 't', partition, offset })
const READ = { paused: false }

test('an empty answer with committed offsets ahead is a hole only if the partition was asked alone', async (t) => {
  const both = () => [
    { partition: 0, end: 5, lastStable: 5 },
    { partition: 1, end: 9, lastStable: 0 },
  ]
  const { fetcher, told, until } = script(t, [both, both])
  fetcher.add(at(0, 2), READ)
  fetcher.add(at(1, 0), READ)

  await until(() => told.some(({ next }) => next === 5))

  assert.deepEqual(
    told.filter(({ partition }) => partition === 0).map(({ next, end, records }) => [next, end, records.length]),
    [
      [2, 5, 0],
      [5, 5, 0],
    ],
  )
  assert.deepEqual(
    told.filter(({ partition }) => partition === 1).map(({ next, end }) => [next, end]),
    [[0, 9]],
  )
})

test('an offset that is not in the log is reported, and the partition is left alone', async (t) => {
  const { fetcher, told, outOfRange, until } = script(t, [() => [{ partition: 0, errorCode: 1 }]])
  fetcher.add(at(0, 7), READ)

  await until(() => outOfRange.length === 1)

  assert.deepEqual(outOfRange, [at(0, 7)])
  assert.deepEqual(told, [])
})

test('an error of one partition does not keep another from being read', async (t) => {
  const { fetcher, told, until } = script(t, [
    () => [
      { partition: 0, errorCode: 6 },
      { partition: 1, end: 3, lastStable: 0 },
    ],
    () => [{ partition: 0, end: 4, lastStable: 0 }],
    () => [{ partition: 0, end: 4, lastStable: 0 }],
  ])
  fetcher.add(at(0, 0), READ)
  fetcher.add(at(1, 0), READ)

  await until(() => told.length === 1)

  assert.deepEqual(
    told.map(({ partition, end }) => [partition, end]),
    [[1, 3]],
  )
})

test('what arrives during a pause is handed over on resume, and what arrives for a place that was left is dropped', async (t) => {
  const asked = Promise.withResolvers<void>()
  const scripted = script(t, [
    () => {
      asked.resolve()
      scripted.fetcher.pause(at(0, 0))
      scripted.fetcher.seek(at(1, 5))
      return [
        { partition: 0, end: 3, lastStable: 3 },
        { partition: 1, end: 3, lastStable: 3 },
      ]
    },
  ])
  const { fetcher, told, until } = scripted
  fetcher.add(at(0, 0), READ)
  fetcher.add(at(1, 0), READ)
  await asked.promise
  await new Promise((resolve) => setImmediate(resolve))
  const whilePaused = told.length

  fetcher.resume(at(0, 0))
  await until(() => told.length === 1)

  assert.equal(whilePaused, 0)
  assert.deepEqual(
    told.map(({ partition, end }) => [partition, end]),
    [[0, 3]],
  )
})

test('a broken connection is replaced and the same place asked again', async (t) => {
  const scripted = script(t, [
    () => {
      throw new Error('the line is cut')
    },
    () => [{ partition: 0, end: 1, lastStable: 0 }],
  ])
  scripted.fetcher.add(at(0, 0), READ)

  await scripted.until(() => scripted.told.length === 1)

  assert.equal(scripted.drops, 1)
  assert.equal(scripted.failures.length, 0)
})
