import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../engine/hash-engine.ts'
import { memoryIndex } from '../processors/memory-index.ts'
import { memoryPipeline } from '../processors/memory-pipeline.ts'
import { documents, ingestPositions, progress, vectors } from '../schemas/topics.ts'
import { virtualClock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import type { TestDriver } from '../streams/test-driver.ts'
import { nameIn } from '../streams/topic.ts'
import { comparePartition } from './compare-partition.ts'

const raw = (text: string) => ({ text, contentType: null, title: null, url: null, language: null, attributes: {} })
const put = (key: string, text: string) => ({ key, value: raw(text) })

/** The pipeline from `inbox`, and a `documents` that is the right one only once it was accepted. */
async function pipeline() {
  const index = memoryIndex({ space: hashEngine().space.id })
  const clock = virtualClock()
  const accepted = { id: '', epoch: 1 }
  const run = await memoryPipeline({
    partitions: 1,
    index,
    clock,
    async identified(topic, id) {
      if (topic !== documents) return { epoch: 1 }
      if (accepted.id === '') accepted.id = id
      if (accepted.id !== id) throw new Retry('documents is another topic', { state: 'source-recreated' })
      return accepted
    },
    async compare(at, { broker, serde, scope }) {
      const { contents } = index
      return comparePartition({ broker, serde, scope, partitions: 1, contents, epoch: () => accepted.epoch, clock })(at)
    },
  })
  return Object.assign(run, {
    accept(id: string) {
      accepted.id = id
      accepted.epoch++
    },
    names: () => run.driver.states.present().map(({ name, subject }) => `${name} of ${subject.split(' ')[0]}`),
    async passes(ms: number) {
      for (let left = ms; left > 0; left -= 500) await run.driver.advance(500)
    },
  })
}

const idOf = async ({ broker }: TestDriver, name: string): Promise<string> =>
  (await broker.admin.topics()).find((topic) => topic.name === name)!.id

async function recreate({ broker, scope }: TestDriver): Promise<string> {
  const name = nameIn(scope, documents)
  await broker.admin.deleteTopics([name])
  await broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config: documents.config }])
  return name
}

test('while documents is another topic nothing is touched, and when it is accepted the index follows it by itself', async () => {
  await using run = await pipeline()
  const { driver } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'), put('acme/c', 'third'))
  const name = await recreate(driver)
  await driver.recheck()
  await driver.pipe(put('acme/a', 'first, changed'))
  await run.passes(10_000)
  const before = run.index.served().length
  const during = {
    states: run.names(),
    written: driver.broker.records(name).length,
    read: (await driver.values(ingestPositions)).at(-1)?.next,
  }

  run.accept(await idOf(driver, name))
  await run.passes(20_000)

  assert.deepEqual([...new Set(during.states)].sort(), [
    'source-recreated of embed-documents',
    'source-recreated of ingest-documents',
  ])
  assert.deepEqual([before, during.written, during.read], [3, 0, 3])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(
    run.index.served().map(({ key, fence }) => [key, fence]),
    [['acme/a', '2:0:0']],
  )
  assert.deepEqual(run.names(), [])
  const { epoch, low, state } = (await driver.values(progress)).at(-1)!
  assert.deepEqual({ epoch, low, state }, { epoch: 2, low: 1, state: 'following' })
  assert.equal(driver.failure, null)
})

test('deletions and watermarks of a former documents do no harm when vectors is read again', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  const empty = index.copy()
  await driver.pipe(put('acme/a', 'one'), put('acme/b', 'two'), put('acme/c', 'three'))
  await driver.pipe({ key: 'acme/a', value: null })
  const name = await recreate(driver)
  run.accept(await idOf(driver, name))
  await driver.recheck()
  await run.passes(20_000)
  await driver.pipe(put('acme/a', 'again'))
  await run.passes(5_000)

  index.restore(empty)
  await run.passes(5_000)

  assert.ok(driver.broker.records(nameIn(driver.scope, vectors)).some(({ value }) => value === null))
  assert.deepEqual(await run.differences(), [])
  assert.equal(run.index.served().length, 1)
  const { epoch, low } = (await driver.values(progress)).at(-1)!
  assert.deepEqual({ epoch, low }, { epoch: 2, low: 1 })
})
