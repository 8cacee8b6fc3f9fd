import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Progress } from '../schemas/records.ts'
import { progress } from '../schemas/topics.ts'
import { noLow } from '../streams/low.ts'
import { openTable } from '../streams/table.ts'
import { type TestDriver, testTopology } from '../streams/test-driver.ts'
import { nameIn } from '../streams/topic.ts'
import { stage } from '../streams/topology.ts'
import { indexVectors } from './index-vectors.ts'
import { type MemoryIndex, memoryIndex } from './memory-index.ts'
import { followProgress, type PublishedProgress } from './published-progress.ts'
import { standingIn } from './standing.ts'

const collection = 'es_test'

/** A stage that follows what is published about it, as a worker's does. */
interface Following extends AsyncDisposable {
  readonly driver: TestDriver
  readonly index: MemoryIndex
  /** Publishes deletions of that many documents, all of them below the watermark. */
  write(records: number): Promise<void>
  /** All that lies in `progress`, in the order of the log. */
  log(): Promise<readonly Progress[]>
  /** A request of an earlier owner that was held back arrives now. */
  arrivesLate(said: Progress): Promise<void>
  /** What a reader believes who has read all of it. */
  believed(): Promise<number | undefined>
}

async function following(): Promise<Following> {
  let published: PublishedProgress | null = null
  let written = 0
  const standing = standingIn({
    collection,
    role: () => ({ collection, serving: true, behind: null, filling: false }),
    sync: async () => published?.sync(),
    progress: (partition) => published?.of(partition) ?? [],
    elsewhere: () => [],
    sharesLog: () => true,
    end: async () => noLow,
    isTalkedOver: (partition) => published?.isTalkedOver(collection, partition) ?? false,
    changed: () => new Promise(() => {}),
    pace: async () => {},
  })
  const index = memoryIndex({ collection })
  const ports = { index, now: () => 0, markers: new Map(), compare: async () => noLow, standing }
  const driver = await testTopology([stage(indexVectors, ports)])
  const { broker, serde, scope } = driver
  const failed = (error: Error) => assert.fail(error)
  published = await followProgress({ broker, serde, scope, failed }, () => {})
  const topic = nameIn(scope, progress)
  return {
    driver,
    index,
    async write(records) {
      const deletions = Array.from({ length: records }, () => {
        const [at, low] = [written++, written - 1]
        return { key: `acme/${at % 7}`, value: null, headers: { position: `0:${at}:0`, low: String(low) } }
      })
      await driver.pipe(...deletions)
    },
    log: async () => (await driver.values(progress)) as Progress[],
    async arrivesLate(said) {
      const producer = await broker.producer()
      const key = `${said.collection}/${said.partition}`
      await producer.send([{ topic, partition: 0, key, value: serde.encode(progress, said) }])
      await published!.sync()
    },
    async believed() {
      const table = await openTable(progress, { broker, serde, scope, failed })
      await table.sync()
      await table.close()
      return table.get(`${collection}/0`)?.low
    },
    async [Symbol.asyncDispose]() {
      await published?.close()
      await driver[Symbol.asyncDispose]()
    },
  }
}

test('what an earlier owner said of the watermark does not count when it arrives after its successor’s', async () => {
  await using world = await following()
  await world.write(5)
  const zombies = (await world.log()).at(-1)!
  await world.driver.crash()
  await world.write(5)

  await world.arrivesLate(zombies)

  assert.equal((await world.log()).at(-1)!.low, 4)
  assert.equal(await world.believed(), 9)
})

test('an owner that was talked over says it again, once, so that compaction keeps what counts', async () => {
  await using world = await following()
  await world.write(5)
  const zombies = (await world.log()).at(-1)!
  await world.driver.crash()
  await world.write(5)
  await world.arrivesLate(zombies)
  const before = (await world.log()).length

  for (let i = 0; i < 5; i++) await world.driver.advance(2_000)
  world.driver.broker.compact(nameIn(world.driver.scope, progress))

  assert.equal((await world.log()).length, 1)
  assert.equal((await world.driver.offsets(progress))[0]!.offset, before)
  assert.equal(await world.believed(), 9)
})

test('what was said of an index that was set back does not count when it arrives after what is said of the copy', async () => {
  await using world = await following()
  await world.write(5)
  const copy = world.index.copy()
  for (let i = 0; i < 5; i++) await world.write(1)
  const ofTheLost = (await world.log()).at(-1)!
  world.index.restore(copy)
  await world.driver.stop()
  await world.driver.start()
  const ofTheCopy = (await world.log()).at(-1)!

  await world.arrivesLate({ ...ofTheLost, low: 20 })

  assert.ok(ofTheCopy.written > ofTheLost.written, `${ofTheCopy.written} after ${ofTheLost.written}`)
  assert.equal(await world.believed(), ofTheCopy.low)
})

test('an owner whose clock is behind is believed all the same, also over what another said last', async () => {
  await using world = await following()
  await world.write(5)
  const own = (await world.log()).at(-1)!
  const ahead = { ...own, low: 2, written: own.written + 3_600_000 }

  await world.arrivesLate(ahead)
  for (let i = 0; i < 5; i++) await world.driver.advance(2_000)

  assert.deepEqual(
    (await world.log()).slice(-2).map(({ low, written }) => [low, written]),
    [
      [2, ahead.written],
      [4, ahead.written + 1],
    ],
  )
  assert.equal(await world.believed(), 4)
})

test('a worker that does not say of which marker is believed as its records lie', async () => {
  await using world = await following()
  await world.write(5)
  const last = (await world.log()).at(-1)!

  await world.arrivesLate({ ...last, low: 7, written: 0 })

  assert.equal(await world.believed(), 7)
})
