import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Reject, Retry } from '../../streams/errors.ts'
import { until } from '../../test/until.ts'
import type { SpentRecord } from './budget.ts'
import type { World } from './dispatcher.ts'
import { openai } from './openai.ts'
import { engineOver, world } from './remote.fixture.ts'
import { type FakeService, fakeService, type Trouble } from './service.fixture.ts'
import { tei } from './tei.ts'

let service: FakeService
beforeEach(async () => {
  service = await fakeService()
})
afterEach(() => service[Symbol.asyncDispose]())

const texts = ['commits offsets', 'retention of segments', 'a freshet is a flood']
const overOpenai = (options: Parameters<typeof engineOver>[1] = {}) =>
  engineOver(openai({ url: service.url, model: 'hash', encoding: 'float', dimensions: null }), options)
const asDocuments = { as: 'document' } as const
/** Golden texts came first, once. */
const asked = () => service.requests.slice(1)

const troubles: readonly Trouble[] = [
  { status: 500, body: '{"error":{"message":"a fault"}}' },
  { status: 503 },
  { status: 429, headers: { 'retry-after': '0' } },
  { status: 424, body: '{"error":"the model failed","error_type":"backend"}' },
  'cut',
  'cut-answer',
  'fewer',
  'nan',
  'zeros',
  'short',
  'same-index',
  'no-json',
]
for (const trouble of troubles)
  test(`a request that ends in ${JSON.stringify(trouble)} is made again, and the vectors are right`, async () => {
    await using engine = disposable(overOpenai())
    const expected = await engine.embed(texts, asDocuments)

    service.troubles.push(trouble, trouble)
    const vectors = await engine.embed(texts, asDocuments)

    assert.deepEqual(vectors, expected)
    assert.equal(service.troubles.length, 0)
    assert.equal(engine.remote().counts.retries, 2)
  })

for (const trouble of troubles)
  test(`a service that only says ${JSON.stringify(trouble)} is an outage: back-pressure with its words, no vector, no rejection`, async () => {
    await using engine = disposable(overOpenai())
    await engine.embed(texts, asDocuments)

    service.troubleFor = () => trouble
    const failure = await engine.embed(texts, asDocuments).catch((error: unknown) => error)

    assert.ok(failure instanceof Retry, String(failure))
    assert.equal(failure.state, 'embedding-unavailable')
    assert.match(failure.message, /127\.0\.0\.1.*does not embed now: \S/)
  })

test('a service that hangs is given up after the time, and the next request is answered', async () => {
  await using engine = disposable(overOpenai({ policy: { timeoutMs: 150 } }))
  await engine.embed(texts, asDocuments)

  service.troubles.push('hang')
  const vectors = await engine.embed(texts, asDocuments)

  assert.equal(vectors.length, 3)
  assert.equal(engine.remote().unanswered, 1)
})

test('the one text that the service refuses is rejected with its words, and the others have their vectors', async () => {
  await using engine = disposable(overOpenai())
  service.troubleFor = (sent) =>
    sent.some((text) => text.includes('BAD'))
      ? { status: 413, body: '{"error":{"message":"this text is too long"}}' }
      : null
  const many = Array.from({ length: 9 }, (_, i) => (i === 5 ? 'BAD text' : `good text ${i}`))

  const outcomes = await Promise.allSettled(many.map((text) => engine.embed([text], asDocuments)))

  const rejected = outcomes.flatMap((each, i) => (each.status === 'rejected' ? [{ i, reason: each.reason }] : []))
  assert.equal(rejected.length, 1)
  assert.equal(rejected[0]!.i, 5)
  assert.ok(rejected[0]!.reason instanceof Reject)
  assert.match(rejected[0]!.reason.message, /refuses this text: status 413: this text is too long/)
})

test('a service that refuses every text is no reason to throw any away', async () => {
  await using engine = disposable(overOpenai())
  await engine.embed(texts, asDocuments)

  service.troubleFor = () => ({ status: 400, body: '{"error":{"message":"dimensions is not supported"}}' })
  const failure = await engine.embed(texts, asDocuments).catch((error: unknown) => error)

  assert.ok(failure instanceof Retry, String(failure))
  assert.match(failure.message, /it refuses every text: status 400: dimensions is not supported/)
})

test('texts that come together share a request, each within its bounds', async () => {
  await using engine = disposable(
    overOpenai({ policy: { batch: { textsMax: 10, tokensMax: 8_192, bytesMax: 1_000_000 } } }),
  )
  await engine.embed(['first'], asDocuments)
  service.requests.length = 0

  const vectors = await Promise.all(Array.from({ length: 25 }, (_, i) => engine.embed([`text ${i}`], asDocuments)))

  assert.deepEqual(
    service.requests.map((each) => each.length),
    [10, 10, 5],
  )
  assert.equal(new Set(vectors.map(([vector]) => String(vector))).size, 25)
})

test('no more requests run at once than were allowed, and a query does not wait for the documents', async () => {
  await using engine = disposable(
    overOpenai({ policy: { requestsMax: 3, batch: { textsMax: 1, tokensMax: 8_192, bytesMax: 1_000_000 } } }),
  )
  await engine.embed(['first'], asDocuments)
  const opened = Promise.withResolvers<void>()
  service.gate = opened.promise
  service.runningMost = 0
  service.requests.length = 0

  const documents = Array.from({ length: 8 }, (_, i) => engine.embed([`document ${i}`], asDocuments))
  await until('two requests run', () => service.running === 2)
  const query = engine.embed(['who asks?'], { as: 'query' })
  await until('a third runs', () => service.running === 3)
  opened.resolve()
  await Promise.all([...documents, query])

  assert.equal(service.runningMost, 3)
  assert.deepEqual(service.requests[2], ['who asks?'])
})

test('after failures in a row the service is left alone, and then one request tries whether it is back', async () => {
  const clock = standing()
  await using engine = disposable(overOpenai({ world: clock }))
  await engine.embed(texts, asDocuments)
  await service.stop()
  const before = service.requests.length

  for (let i = 0; i < 3; i++) await assert.rejects(engine.embed(texts, asDocuments), Retry)
  const open = engine.remote().breaker
  await service.start()
  const early = await engine.embed(texts, asDocuments).catch((error: unknown) => error)
  clock.advance(60_000)
  const vectors = await engine.embed(texts, asDocuments)

  assert.equal(open, 'open')
  assert.ok(early instanceof Retry && early.retryAfterMs > 0)
  assert.equal(vectors.length, 3)
  assert.equal(engine.remote().breaker, 'closed')
  assert.ok(service.requests.length > before)
})

test('the day’s tokens are a bound: what is over it waits for the next day, and a new process knows what was spent', async () => {
  const clock = standing(Date.UTC(2026, 10, 24, 23, 0))
  let kept: ReturnType<SpentRecord['read']> = null
  const spent: SpentRecord = {
    read: () => kept,
    write: (now) => {
      kept = now
    },
  }
  const options = { world: clock, spent, policy: { tokensPerDayMax: 2_000, pricePerMillionTokens: 0.5 } }
  const one = overOpenai(options)
  const spend = async (engine: ReturnType<typeof overOpenai>): Promise<unknown> => {
    for (let i = 0; i < 1_000; i++) {
      try {
        await engine.embed([`text number ${i} of many that are paid for`], asDocuments)
      } catch (error) {
        return error
      }
    }
    return null
  }

  const first = await spend(one)
  const used = one.remote().counts
  await one.close()
  await using two = disposable(overOpenai(options))
  const second = await two.embed(texts, asDocuments).catch((error: unknown) => error)
  clock.advance(3_600_000)
  const tomorrow = await two.embed(texts, asDocuments)

  for (const error of [first, second]) {
    assert.ok(error instanceof Retry, String(error))
    assert.equal(error.state, 'embedding-budget-spent')
    assert.match(error.message, /2000 tokens .* spent; it goes on at 2026-11-25T00:00:00/)
  }
  assert.ok(used.tokens > 1_000 && used.tokens <= 2_000, String(used.tokens))
  assert.equal(used.cost, (used.tokens * 0.5) / 1_000_000)
  assert.equal(tomorrow.length, 3)
})

test('a rate of tokens is kept to: what is over it is sent later', async () => {
  const clock = standing()
  await using engine = disposable(overOpenai({ world: clock, policy: { tokensPerMinuteMax: 60_000 } }))
  await engine.embed(['first'], asDocuments)
  const long = 'word '.repeat(100)

  let done = 0
  const all = Promise.all(
    Array.from({ length: 128 }, (_, i) => engine.embed([`${i} ${long}`], asDocuments).then(() => done++)),
  )
  await until('somebody waits for the rate', () => clock.waiting() > 0)
  const atFirst = service.requests.length
  for (let i = 0; i < 200 && done < 128; i++) {
    clock.advance(1_000)
    for (let turn = 0; turn < 50; turn++) await new Promise(setImmediate)
  }
  await all

  assert.ok(atFirst < service.requests.length, `${atFirst} of ${service.requests.length}`)
})

test('whoever gives up is not waited for, and its texts are not sent', async () => {
  await using engine = disposable(overOpenai({ policy: { requestsMax: 1 } }))
  await engine.embed(['first'], asDocuments)
  const opened = Promise.withResolvers<void>()
  service.gate = opened.promise
  const abort = new AbortController()

  const under = engine.embed(['under way'], { ...asDocuments, signal: abort.signal })
  await until('it runs', () => service.running > 0)
  const queued = engine.embed(['waits'], { ...asDocuments, signal: abort.signal })
  abort.abort(new Error('the partition is another’s'))

  for (const each of [under, queued]) await assert.rejects(each, { message: 'the partition is another’s' })
  opened.resolve()
  await engine.embed(['next'], asDocuments)
  assert.ok(asked().every((sent) => !sent.includes('waits')))
})

test('the key is sent with each request, and a service that repeats it does not get it into a message', async () => {
  let key = 'key-one'
  const transport = openai({ url: service.url, model: 'hash', encoding: 'float', dimensions: null, apiKey: () => key })
  await using engine = disposable(engineOver(transport))
  await engine.embed(texts, asDocuments)

  key = 'key-two'
  service.troubleFor = () => ({ status: 401, body: `{"error":{"message":"Incorrect API key provided: ${key}"}}` })
  const failure = await engine.embed(texts, asDocuments).catch((error: unknown) => error)

  assert.deepEqual([...new Set(service.authorizations)], ['Bearer key-one', 'Bearer key-two'])
  assert.ok(failure instanceof Retry)
  assert.match(failure.message, /401: Incorrect API key provided: \[secret\]/)
})

test('TEI is asked which model it has, and another one is never taken', async () => {
  const over = (model: string, revision: string) => disposable(engineOver(tei({ url: service.url, model, revision })))
  await using right = over('hash', 'r1')
  await using other = over('bge', '')
  await using older = over('hash', 'r0')

  assert.equal((await right.embed(texts, asDocuments)).length, 3)
  await assert.rejects(other.embed(texts, asDocuments), { message: /has the model hash, and bge is wanted/ })
  await assert.rejects(older.embed(texts, asDocuments), { message: /has revision r1 of hash, and r0 is wanted/ })
})

function disposable<T extends { close(): Promise<void> }>(engine: T): T & AsyncDisposable {
  return Object.assign(engine, { [Symbol.asyncDispose]: () => engine.close() })
}

/** A clock that stands still until it is told to go on; the wait between two attempts is over at once. */
function standing(start = Date.UTC(2026, 10, 24, 12)): World & { advance(ms: number): void; waiting(): number } {
  let time = start
  const sleepers = new Set<{ at: number; wake(): void }>()
  return {
    random: world.random,
    now: () => time,
    wait(ms, signal) {
      return new Promise((resolve) => {
        if (signal.aborted || ms < 100) return setImmediate(resolve)
        const sleeper = {
          at: time + ms,
          wake() {
            sleepers.delete(sleeper)
            resolve()
          },
        }
        sleepers.add(sleeper)
        signal.addEventListener('abort', sleeper.wake)
      })
    },
    advance(ms) {
      time += ms
      for (const sleeper of [...sleepers]) if (sleeper.at <= time) sleeper.wake()
    },
    waiting: () => sleepers.size,
  }
}
