import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Progress, Receipt } from '../../schemas/records.ts'
import { documents, inbox, indexed, ingestPositions, progress } from '../../schemas/topics.ts'
import { tokenOf } from '../../search/freshness.ts'
import { memoryBroker } from '../../streams/brokers/memory.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'
import { nameIn, type Scope } from '../../streams/topic.ts'
import { until } from '../../test/until.ts'
import type { Platform } from '../platform.ts'
import { wholeTenant } from '../principal.ts'
import { type FreshnessFollower, followFreshness } from './freshness-follower.ts'

const EPOCH = 1
const PARTITIONS = 2
const scope: Scope = { prefix: '', space: 'es_test' }
const reader = wholeTenant('acme', 'key:reader')
const { signal } = new AbortController()
const own = (partition: number, offset: number) => tokenOf({ epoch: EPOCH, documents: { [partition]: [offset] } })
const timesOut = (waiting: Promise<unknown>) => assert.rejects(waiting, { code: 'timeout' })

/** The topics that the freshness is known from; a test writes what a worker would. */
async function world() {
  const broker = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  const topics = [documents, inbox, indexed, ingestPositions, progress]
  await broker.admin.createTopics(
    topics.map((each) => ({ name: nameIn(scope, each), partitions: PARTITIONS, replicationFactor: 1, config: {} })),
  )
  await serde.register(topics)
  const producer = await broker.producer()
  const platform = { broker, serde, scope, epoch: EPOCH } as unknown as Platform
  let serving = 'es_test'
  const open: FreshnessFollower[] = []
  after(() => Promise.all(open.map((each) => each.close())))
  const write = async (topic: string, partition: number, key: string, value: Buffer | null) =>
    (await producer.send([{ topic, partition, key, value }]))[0]!
  return {
    serves(collection: string) {
      serving = collection
    },
    async follower(receiptsMax?: number) {
      const failed = (error: Error) => assert.fail(error)
      const follower = await followFreshness(
        platform,
        { partitions: PARTITIONS, sources: [inbox], ...(receiptsMax !== undefined && { receiptsMax }) },
        () => serving,
        failed,
      )
      open.push(follower)
      return follower
    },
    sent: (partition: number, key: string) => write(nameIn(scope, inbox), partition, key, null),
    async ingested(partition: number, next: number) {
      const { id } = (await broker.admin.topics()).find(({ name }) => name === nameIn(scope, inbox))!
      const value = { topic: nameIn(scope, inbox), partition, next, at: 0 }
      await write(nameIn(scope, ingestPositions), 0, `${id}/${partition}`, serde.encode(ingestPositions, value))
    },
    document: (partition: number, key: string) => write(nameIn(scope, documents), partition, key, null),
    progress: (value: Partial<Progress> & Pick<Progress, 'partition' | 'low'>) =>
      write(
        nameIn(scope, progress),
        0,
        `${value.collection ?? 'es_test'}/${value.partition}`,
        serde.encode(progress, {
          collection: 'es_test',
          epoch: EPOCH,
          applied: value.low,
          at: 0,
          state: 'following',
          receipts: null,
          behind: null,
          rejected: null,
          written: 0,
          ...value,
        } as Progress),
      ),
    receipt: (value: Partial<Receipt> & Pick<Receipt, 'partition' | 'offset'>, key = 'acme/a') =>
      write(
        nameIn(scope, indexed),
        value.partition,
        key,
        serde.encode(indexed, {
          collection: 'es_test',
          epoch: EPOCH,
          derivation: 0,
          outcome: 'indexed',
          reason: null,
          presentOffset: value.offset,
          presentDerivation: 0,
          presentDeleted: false,
          chunks: 1,
          vectorsOffset: value.offset,
          timings: {},
          ...value,
        } as Receipt),
      ),
  }
}

test('a topic to which nobody writes is fresh, and so is one whose last offsets hold no record', async () => {
  const { follower, document, progress: says } = await world()
  // Of partition 1 nothing is known, and nothing lies there.
  await document(0, 'acme/a')
  await document(0, 'acme/b')
  await says({ partition: 0, low: 1 })

  const { staleMs, complete } = (await follower()).asOf('es_test')

  assert.deepEqual({ staleMs, complete }, { staleMs: 0, complete: true })
})

test('how stale a source is grows while a record of it waits, and ends when it is ingested', async () => {
  const { follower, sent, ingested } = await world()
  await ingested(0, 0)
  const freshness = await follower()
  await sent(0, 'acme/a')
  const staleMs = () => freshness.sources().find(({ source }) => source === 'inbox')!.staleMs

  await until('the source is stale', () => staleMs() > 0)
  const { ingestStaleMs } = freshness.asOf('es_test')
  await ingested(0, 1)

  assert.ok(ingestStaleMs > 0)
  await until('the source is fresh', () => staleMs() === 0)
})

test('what one instance wrote is waited for by another, which was never told of it', async () => {
  const { follower, document, receipt } = await world()
  const [writer, other] = [await follower(), await follower()]
  const position = await document(1, 'acme/a')
  const token = tokenOf(writer.wrote([position], reader))
  await timesOut(other.reached(token, 50, reader, signal))

  const waiting = other.after(token, 5_000, reader, signal)
  await receipt({ partition: 1, offset: position.offset })

  assert.deepEqual(await waiting, [{ partition: 1, offset: 0, outcome: 'indexed', reason: null }])
})

test('a rejected position is reached, and the writer is told why', async () => {
  const { follower, receipt } = await world()
  const followed = await follower()

  const waiting = followed.after(own(0, 0), 5_000, reader, signal)
  await receipt({ partition: 0, offset: 0, outcome: 'rejected', reason: 'the text has no words' })

  assert.deepEqual(await waiting, [{ partition: 0, offset: 0, outcome: 'rejected', reason: 'the text has no words' }])
})

test('an instance that starts after the receipt knows by the watermark that the position is reached', async () => {
  const { follower, document, receipt, progress: says } = await world()
  await document(0, 'acme/a')
  await receipt({ partition: 0, offset: 0 })
  await says({ partition: 0, low: 0 })

  const late = await follower()
  const outcomes = await late.after(own(0, 0), 0, reader, signal)

  assert.deepEqual(outcomes, [{ partition: 0, offset: 0, outcome: 'applied', reason: null }])
  await timesOut(late.reached(own(0, 1), 0, reader, signal))
})

test('of an index that was set back, what was reached before is not reached until it is there again', async () => {
  const { follower, receipt, progress: says } = await world()
  const followed = await follower()
  for (const offset of [0, 1, 2]) await receipt({ partition: 0, offset })
  await receipt({ partition: 1, offset: 2 })
  await says({ partition: 0, low: 2 })
  await says({ partition: 1, low: 2 })
  for (const partition of [0, 1]) await followed.reached(own(partition, 2), 5_000, reader, signal)

  await says({ partition: 0, low: 0 })
  await until('the watermark is known to be back', async () => {
    const everything = tokenOf({ epoch: EPOCH, documents: { 0: 2 } })
    return followed.reached(everything, 0, reader, signal).then(
      () => false,
      () => true,
    )
  })

  await timesOut(followed.reached(own(0, 2), 0, reader, signal))
  await followed.reached(own(0, 0), 0, reader, signal)
  await followed.reached(own(1, 2), 0, reader, signal)
  await receipt({ partition: 0, offset: 2 })
  await followed.reached(own(0, 2), 5_000, reader, signal)
})

test('what another collection has says nothing of the one that serves', async () => {
  const { follower, receipt, serves, progress: says } = await world()
  const followed = await follower()
  await receipt({ partition: 0, offset: 3 })
  await says({ partition: 0, low: 3 })
  await followed.reached(own(0, 3), 5_000, reader, signal)

  serves('es_test.g2')
  await timesOut(followed.reached(own(0, 3), 0, reader, signal))
  const waiting = followed.reached(own(0, 3), 5_000, reader, signal)
  await says({ collection: 'es_test.g2', partition: 0, low: 3 })

  await waiting
})

test('while something holds a watermark back the index is not complete', async () => {
  const { follower, document, progress: says } = await world()
  await document(0, 'acme/a')
  await says({ partition: 0, low: 0, state: 'tombstones-may-be-lost' })
  const followed = await follower()
  const before = followed.asOf('es_test').complete

  await says({ partition: 0, low: 0 })
  await until('it is complete', () => followed.asOf('es_test').complete)

  assert.equal(before, false)
})

test('a receipt that is not kept any more is not waited for', async () => {
  const { follower, receipt, progress: says } = await world()
  const followed = await follower(2)
  for (const offset of [0, 1, 2]) await receipt({ partition: 0, offset })
  await says({ partition: 0, low: 2 })
  await followed.reached(own(0, 2), 5_000, reader, signal)

  const outcomes = await Promise.all(
    [0, 2].map((offset) => followed.after(own(0, offset), 0, reader, AbortSignal.abort())),
  )

  assert.deepEqual(
    outcomes.flat().map(({ offset, outcome }) => [offset, outcome]),
    [
      [0, 'applied'],
      [2, 'indexed'],
    ],
  )
})
