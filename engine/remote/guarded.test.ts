import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { Retry } from '../../streams/errors.ts'
import { goldenTexts } from '../fingerprint.ts'
import type { GuardedEngine } from './guarded.ts'
import { openai } from './openai.ts'
import { engineOver, memoryRecords, world } from './remote.fixture.ts'
import { type FakeService, fakeService } from './service.fixture.ts'

let service: FakeService
const open: GuardedEngine[] = []
beforeEach(async () => {
  service = await fakeService()
})
afterEach(async () => {
  await Promise.all(open.splice(0).map((engine) => engine.close()))
  await service[Symbol.asyncDispose]()
})

const asDocuments = { as: 'document' } as const
const compared = () => service.requests.filter((sent) => sent[0] === goldenTexts[0]).length
function engine(options: Parameters<typeof engineOver>[1] = {}): GuardedEngine {
  const transport = openai({ url: service.url, model: 'hash', encoding: 'float', dimensions: null })
  open.push(engineOver(transport, options))
  return open.at(-1)!
}

test('the first use of a space puts down what its golden texts have for vectors, and later ones compare with it', async () => {
  const records = memoryRecords()

  const first = engine({ records })
  await first.embed(['a'], asDocuments)
  const [put] = records.written.values()
  await engine({ records }).embed(['a'], asDocuments)

  assert.equal(put!.fingerprint, first.fingerprint)
  assert.equal(put!.vectors.length, goldenTexts.length * 64 * 4)
  assert.equal(records.written.size, 1)
  assert.equal(compared(), 2)
})

test('a service that has another model by now is refused, with both fingerprints and how to go over to it', async () => {
  const records = memoryRecords()
  await engine({ records }).embed(['a'], asDocuments)
  const [recorded] = records.written.values()

  service.otherModel = true
  const other = engine({ records })
  const failure = await other.embed(['a'], asDocuments).catch((error: unknown) => error)
  service.otherModel = false
  const vectors = await other.embed(['a'], asDocuments)

  assert.ok(failure instanceof Retry, String(failure))
  assert.equal(failure.state, 'embedding-model-changed')
  for (const part of [other.space.id, recorded!.fingerprint.slice(0, 16), 'FRESHET_EMBEDDING_REVISION', '0.99'])
    assert.ok(failure.message.includes(part), failure.message)
  assert.equal(vectors.length, 1)
  assert.deepEqual([...records.written.values()], [recorded])
})

test('a model that is changed while the service is away gives no vector out, also where the outage was short', async () => {
  const one = engine({ policy: { timeoutMs: 100 } })
  await one.embed(['a'], asDocuments)
  const before = compared()

  service.troubleFor = () => {
    service.otherModel = true
    service.troubleFor = () => null
    return 'cut'
  }
  const failure = await one.embed(['b'], asDocuments).catch((error: unknown) => error)

  assert.ok(failure instanceof Retry, String(failure))
  assert.equal(failure.state, 'embedding-model-changed')
  assert.equal(compared(), before + 1)
})

test('a model that is changed without an outage is found by the next comparison', async () => {
  let time = Date.UTC(2026, 10, 24)
  const one = engine({ everyMs: 60_000, world: { ...world, now: () => time } })
  await one.embed(['a'], asDocuments)

  service.otherModel = true
  await one.embed(['b'], asDocuments)
  time += 60_000

  await assert.rejects(one.embed(['c'], asDocuments), { state: 'embedding-model-changed' })
})

test('vectors that are a little off are taken: services do not repeat themselves to the byte', async () => {
  const records = memoryRecords()
  await engine({ records }).embed(['a'], asDocuments)
  const [[space, golden]] = [...records.written] as [[string, { vectors: Buffer; fingerprint: string; at: number }]]
  const vectors = Buffer.from(golden.vectors)
  for (let at = 0; at < vectors.length; at += 4) vectors.writeFloatLE(vectors.readFloatLE(at) * 1.0001, at)
  records.written.set(space, { ...golden, fingerprint: 'f'.repeat(64), vectors })

  const [vector] = await engine({ records }).embed(['a'], asDocuments)

  assert.equal(vector!.length, 64)
})

test('whoever may put nothing down embeds while nothing is put down, and compares as soon as something is', async () => {
  const records = { ...memoryRecords(), write: null }
  let time = Date.UTC(2026, 10, 24)
  const reader = engine({ records, everyMs: 60_000, world: { ...world, now: () => time } })

  await reader.embed(['who?'], { as: 'query' })
  service.otherModel = true
  await engine({
    records: { ...records, write: async (space, golden) => void records.written.set(space, golden) },
  }).check()
  time += 60_000
  service.otherModel = false

  await assert.rejects(reader.embed(['who?'], { as: 'query' }), { state: 'embedding-model-changed' })
})

test('many texts at once cause one comparison', async () => {
  const one = engine()

  await Promise.all(Array.from({ length: 20 }, (_, i) => one.embed([`text ${i}`], asDocuments)))

  assert.equal(compared(), 1)
})
