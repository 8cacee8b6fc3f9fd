import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { openai } from '../engine/remote/openai.ts'
import { engineOver, world } from '../engine/remote/remote.fixture.ts'
import { type FakeService, fakeService } from '../engine/remote/service.fixture.ts'
import { indexed } from '../schemas/topics.ts'
import { until } from '../test/until.ts'
import { type MemoryPipeline, memoryPipeline } from './memory-pipeline.ts'

let service: FakeService
beforeEach(async () => {
  service = await fakeService()
})
afterEach(() => service[Symbol.asyncDispose]())

const raw = (text: string) => ({ text, contentType: null, title: null, url: null, language: null, attributes: {} })
const documents = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({
    key: `acme/${from + i}`,
    value: raw(`Document ${from + i} says its own number, ${from + i}. `.repeat(1 + (i % 7) * 5)),
  }))
const overService = (options: Parameters<typeof engineOver>[1] = {}) =>
  engineOver(openai({ url: service.url, model: 'hash', encoding: 'float', dimensions: null }), options)

/** Lets the stages wait for as long as they want to. */
const eventually = (run: MemoryPipeline, what: string, holds: () => Promise<boolean> | boolean) =>
  until(what, async () => {
    await run.driver.advance(5_000)
    return holds()
  })
const receipts = async (run: MemoryPipeline) => (await run.driver.values(indexed)).length

test('an embedding service that dies in the middle of a batch and comes back costs no document, no dead letter and no empty vector', async () => {
  const engine = overService({ policy: { batch: { textsMax: 4, tokensMax: 8_192, bytesMax: 1_000_000 } } })
  await using run = await memoryPipeline({ engine, cacheBytesMax: 1_000_000 })
  await run.driver.pipe(...documents(3))
  await eventually(run, 'the first are indexed', async () => (await receipts(run)) === 3)
  const answered = service.requests.length
  service.troubleFor = () => {
    if (service.requests.length < answered + 4) return null
    void service.stop()
    return 'cut'
  }

  await run.driver.pipe(...documents(60, 100))
  await eventually(run, 'the outage is said', () =>
    run.driver.states.present().some(({ name }) => name === 'embedding-unavailable'),
  )
  const during = { letters: await run.driver.rejected(), receipts: await receipts(run) }
  service.troubleFor = () => null
  await service.start()
  await eventually(run, 'all are indexed', async () => (await receipts(run)) === 63)

  assert.deepEqual(during.letters, [])
  assert.ok(during.receipts < 63)
  assert.deepEqual(await run.driver.rejected(), [])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.driver.states.present(), [])
  assert.equal(run.driver.failure, null)
  await engine.close()
})

test('what was embedded before an outage is not paid for again', async () => {
  const engine = overService({ policy: { batch: { textsMax: 8, tokensMax: 8_192, bytesMax: 1_000_000 } } })
  await using run = await memoryPipeline({ engine, cacheBytesMax: 10_000_000 })
  const long = Array.from(
    { length: 400 },
    (_, i) => `Sentence ${i} of a long document says that it is number ${i}.`,
  ).join(' ')
  let refusals = 0
  service.troubleFor = () => {
    if (service.requests.length % 3 !== 0 || refusals >= 6) return null
    refusals += 1
    return { status: 503, headers: { 'retry-after': '11' } }
  }

  await run.driver.pipe({ key: 'acme/long', value: raw(long) })
  await eventually(run, 'it is indexed', async () => (await receipts(run)) === 1)

  const chunks = (await engine.split(long)).map(({ text }) => text)
  const answered = service.requests.filter((_, i) => (i + 1) % 3 !== 0 || i >= 18).flat()
  assert.ok(chunks.length > 40 && refusals === 6, `${chunks.length} ${refusals}`)
  const twice = chunks.filter((chunk) => answered.filter((text) => text === chunk).length > 1)
  assert.deepEqual(twice, [])
  assert.deepEqual(await run.differences().then((found) => found.length), 0)
  await engine.close()
})

test('a text that the service refuses is the dead letter of its document alone, with the service’s words', async () => {
  const engine = overService()
  await using run = await memoryPipeline({ engine })
  service.troubleFor = (sent) =>
    sent.some((text) => text.includes('FORBIDDEN'))
      ? { status: 422, body: '{"error":"it cannot be tokenised","error_type":"tokenizer"}' }
      : null

  await run.driver.pipe(...documents(20), { key: 'acme/bad', value: raw('FORBIDDEN words') }, ...documents(20, 20))
  await eventually(run, 'all are handled', async () => (await receipts(run)) === 41)

  const letters = await run.driver.rejected()
  assert.deepEqual(
    letters.map(({ key }) => key),
    ['acme/bad'],
  )
  assert.match(letters[0]!.reason, /refuses this text: status 422: it cannot be tokenised/)
  assert.equal(new Set(run.index.served().map(({ key }) => key)).size, 40)
  await engine.close()
})

test('a day’s budget that is spent is a named state, and on the next UTC day it goes on by itself', async () => {
  let ahead = 0
  const now = () => Date.now() + ahead
  const engine = overService({ world: { ...world, now }, policy: { tokensPerDayMax: 6_000 } })
  await using run = await memoryPipeline({ engine, cacheBytesMax: 10_000_000 })

  await run.driver.pipe(...documents(40))
  await eventually(run, 'the budget is spent', () =>
    run.driver.states.present().some(({ name }) => name === 'embedding-budget-spent'),
  )
  const [state] = run.driver.states.present()
  const indexedThen = await receipts(run)
  let days = 0
  await eventually(run, 'all are indexed', async () => {
    if (run.driver.states.present().length > 0 && days < 9) {
      ahead += 86_400_000
      days += 1
    }
    return (await receipts(run)) === 40
  })

  assert.match(state!.detail, /6000 tokens .* are spent; it goes on at 20\d\d-\d\d-\d\dT00:00:00/)
  assert.ok(indexedThen < 40)
  assert.deepEqual(await run.driver.rejected(), [])
  await engine.close()
})
