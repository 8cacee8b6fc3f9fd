import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Fatal, Reject } from '../streams/errors.ts'
import { createPool, type PoolOptions } from './pool.ts'

const lengths = (vectors: readonly Float32Array[]) => vectors.map((vector) => vector[0])

test('vectors come back in the order of their texts, however many workers share them', async (t) => {
  const pool = poolFor(t, { workers: 2 })
  const texts = Array.from({ length: 50 }, (_, i) => 'x'.repeat(i))

  const vectors = await pool.embed(texts)

  assert.deepEqual(
    lengths(vectors),
    texts.map((text) => text.length),
  )
  assert.equal(pool.stats().texts, 50)
  assert.equal(pool.stats().tokens, (49 * 50) / 2)
})

test('a worker that dies is replaced, and the texts that were with it are answered all the same', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const dying = assert.rejects(pool.embed(['die now']), Reject)
  const vectors = await pool.embed(['a', 'bb', 'ccc'])

  assert.deepEqual(lengths(vectors), [1, 2, 3])
  await dying
})

test('a text that no worker survives is rejected after three retries, with its length', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const refused = pool.embed(['fine', 'die of this'])

  await assert.rejects(refused, (error: Error) => {
    assert.ok(error instanceof Reject)
    assert.equal(error.message, 'the model failed on text 2 of 2, 11 characters long, 4 times')
    return true
  })
  await pool.embed(['and on it goes'])
  assert.deepEqual(pool.stats().restarts, [4])
})

test('a text that the model cannot take is rejected without ending the worker', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const refused = pool.embed(['fail on this'])

  await assert.rejects(refused, /failed on text 1 of 1, 12 characters long, 4 times/)
  assert.deepEqual(pool.stats().restarts, [0])
})

test('the queue holds no more texts than its bound, and all are answered in the end', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, queueTextsMax: 3, startWorker: () => fixture(gate) })
  await pool.ready()

  const vectors = pool.embed(['hold', ...Array.from({ length: 20 }, () => 'x')])
  const queued = pool.stats().queued
  open(gate)

  assert.equal(queued, 3)
  assert.equal((await vectors).length, 21)
  assert.equal(pool.stats().queued, 0)
})

test('the queue holds no more bytes than its bound, but always one text', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, queueBytesMax: 10, startWorker: () => fixture(gate) })
  await pool.ready()

  const vectors = pool.embed(['hold', 'hold', 'a text longer than the bound', 'another', 'and another'])
  const queued = pool.stats().queued
  open(gate)

  assert.equal(queued, 1)
  assert.equal((await vectors).length, 5)
})

test('a short document does not wait for all of a long one', async (t) => {
  const pool = poolFor(t, { workers: 1, queueTextsMax: 4 })
  await pool.ready()

  const long = pool.embed(Array.from({ length: 100 }, () => 'long'))
  const short = pool.embed(['short'])

  const [[, turn]] = (await short) as unknown as [[number, number]]
  assert.ok(turn < 12, `it was the ${turn}th text`)
  await long
})

test('an aborted call is rejected with the reason, and its texts leave the queue', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, startWorker: () => fixture(gate) })
  await pool.ready()
  const abort = new AbortController()

  const aborted = pool.embed(['hold', 'a', 'b', 'c'], abort.signal)
  abort.abort(new Error('the partition was revoked'))

  await assert.rejects(aborted, { message: 'the partition was revoked' })
  assert.equal(pool.stats().queued, 0)
  open(gate)
  assert.deepEqual(lengths(await pool.embed(['next'])), [4])
})

test('a call with a signal that is aborted already takes no worker', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const aborted = pool.embed(['a'], AbortSignal.abort(new Error('too late')))

  await assert.rejects(aborted, { message: 'too late' })
  assert.equal(pool.stats().texts, 0)
})

test('closing rejects what is under way and ends all threads', async () => {
  const workers: Worker[] = []
  const pool = createPool(optionsWith({ workers: 2, startWorker: () => keep(workers, fixture()) }))
  await pool.ready()

  const pending = pool.embed(['a', 'b', 'c', 'd', 'e', 'f'])
  const refused = assert.rejects(pending, { message: 'the engine is closed' })
  await pool.close()

  await refused
  assert.deepEqual(
    workers.map((worker) => worker.threadId),
    [-1, -1],
  )
  await assert.rejects(pool.embed(['g']), { message: 'the engine is closed' })
})

test('workers that never start stop the pool for good, with the cause', async (t) => {
  const pool = poolFor(t, { workers: 1, startWorker: () => new Worker('throw new Error("no model")', { eval: true }) })

  const pending = pool.embed(['a'])

  await assert.rejects(pending, Fatal)
  await assert.rejects(pool.ready(), (error: Error) => /no model/.test(String(error.cause)))
})

function poolFor(t: TestContext, options: Partial<PoolOptions>) {
  const pool = createPool(optionsWith(options))
  t.after(() => pool.close())
  return pool
}

function optionsWith(options: Partial<PoolOptions>): PoolOptions {
  const log = { warn() {} }
  return {
    name: 'test',
    workers: 1,
    startWorker: () => fixture(),
    queueTextsMax: 1_000,
    queueBytesMax: 1e9,
    log,
    ...options,
  }
}

function fixture(gate = closedGate()): Worker {
  return new Worker(new URL('./pool.fixture.ts', import.meta.url), { workerData: gate.buffer })
}

/** A thread that is told to hold blocks at it, as it would inside a long run of the model. */
function closedGate(): Int32Array<SharedArrayBuffer> {
  return new Int32Array(new SharedArrayBuffer(4))
}

function open(gate: Int32Array<SharedArrayBuffer>): void {
  Atomics.store(gate, 0, 1)
  Atomics.notify(gate, 0)
}

function keep(workers: Worker[], worker: Worker): Worker {
  workers.push(worker)
  return worker
}
