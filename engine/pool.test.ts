import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { Fatal, Reject } from '../streams/errors.ts'
import type { Counted } from './pool.fixture.ts'
import { createPool, type Pool, type PoolOptions } from './pool.ts'

type TestPool = Pool<string, Counted>
const lengths = (answers: readonly Counted[]) => answers.map(({ length }) => length)
const bulk = async (pool: TestPool, texts: readonly string[], signal?: AbortSignal) =>
  (await pool.run(texts, { priority: 'bulk', signal })).answers
const interactive = async (pool: TestPool, texts: readonly string[]) =>
  (await pool.run(texts, { priority: 'interactive' })).answers

test('vectors come back in the order of their texts, however many workers share them', async (t) => {
  const pool = poolFor(t, { workers: 2 })
  const texts = Array.from({ length: 50 }, (_, i) => 'x'.repeat(i))

  const vectors = await bulk(pool, texts)

  assert.deepEqual(
    lengths(vectors),
    texts.map((text) => text.length),
  )
  assert.equal(pool.stats().texts, 50)
  assert.equal(pool.stats().tokens, (49 * 50) / 2)
})

test('a worker that dies is replaced, and the texts that were with it are answered all the same', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const dying = assert.rejects(bulk(pool, ['die now']), Reject)
  const vectors = await bulk(pool, ['a', 'bb', 'ccc'])

  assert.deepEqual(lengths(vectors), [1, 2, 3])
  await dying
})

test('a text that no worker survives is rejected after three retries, with its length', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const refused = bulk(pool, ['fine', 'die of this'])

  await assert.rejects(refused, (error: Error) => {
    assert.ok(error instanceof Reject)
    assert.equal(error.message, 'the model failed on text 2 of 2, 11 characters long, 4 times')
    return true
  })
  await bulk(pool, ['and on it goes'])
  assert.deepEqual(pool.stats().restarts, [4])
})

test('a text that the model cannot take is rejected without ending the worker', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const refused = bulk(pool, ['fail on this'])

  await assert.rejects(refused, /failed on text 1 of 1, 12 characters long, 4 times/)
  assert.deepEqual(pool.stats().restarts, [0])
})

test('the queue holds no more texts than its bound, and all are answered in the end', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, queueTextsMax: 3, startWorker: () => fixture(gate) })
  await pool.ready()

  const vectors = bulk(pool, ['hold', ...Array.from({ length: 20 }, () => 'x')])
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

  const vectors = bulk(pool, ['hold', 'hold', 'a text longer than the bound', 'another', 'and another'])
  const queued = pool.stats().queued
  open(gate)

  assert.equal(queued, 1)
  assert.equal((await vectors).length, 5)
})

test('a short document does not wait for all of a long one', async (t) => {
  const pool = poolFor(t, { workers: 1, queueTextsMax: 4 })
  await pool.ready()

  const long = bulk(
    pool,
    Array.from({ length: 100 }, () => 'long'),
  )
  const short = bulk(pool, ['short'])

  const [answer] = await short
  assert.ok(answer!.count < 12, `it was the ${answer!.count}th text`)
  await long
})

test('an aborted call is rejected with the reason, and its texts leave the queue', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, startWorker: () => fixture(gate) })
  await pool.ready()
  const abort = new AbortController()

  const aborted = bulk(pool, ['hold', 'a', 'b', 'c'], abort.signal)
  abort.abort(new Error('the partition was revoked'))

  await assert.rejects(aborted, { message: 'the partition was revoked' })
  assert.equal(pool.stats().queued, 0)
  open(gate)
  assert.deepEqual(lengths(await bulk(pool, ['next'])), [4])
})

test('a call with a signal that is aborted already takes no worker', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const aborted = bulk(pool, ['a'], AbortSignal.abort(new Error('too late')))

  await assert.rejects(aborted, { message: 'too late' })
  assert.equal(pool.stats().texts, 0)
})

test('closing rejects what is under way and ends all threads', async () => {
  const workers: Worker[] = []
  const pool = createPool<string, Counted>(optionsWith({ workers: 2, startWorker: () => keep(workers, fixture()) }))
  await pool.ready()

  const pending = bulk(pool, ['a', 'b', 'c', 'd', 'e', 'f'])
  const refused = assert.rejects(pending, { message: 'the engine is closed' })
  await pool.close()

  await refused
  assert.deepEqual(
    workers.map((worker) => worker.threadId),
    [-1, -1],
  )
  await assert.rejects(bulk(pool, ['g']), { message: 'the engine is closed' })
})

test('workers that never start stop the pool for good, with the cause', async (t) => {
  const pool = poolFor(t, { workers: 1, startWorker: () => new Worker('throw new Error("no model")', { eval: true }) })

  const pending = bulk(pool, ['a'])

  await assert.rejects(pending, Fatal)
  await assert.rejects(pool.ready(), (error: Error) => /no model/.test(String(error.cause)))
})

test('what is interactive does not wait for bulk that is queued, nor for the text that runs', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, express: 'at-start', startWorker: () => fixture(gate) })
  await pool.ready()

  const held = bulk(pool, ['hold', ...Array.from({ length: 50 }, () => 'bulk')])
  const answers = await interactive(pool, ['one', 'two', 'three'])

  assert.deepEqual(lengths(answers), [3, 3, 5])
  assert.equal(pool.stats().queued, 49)
  open(gate)
  assert.equal((await held).length, 51)
})

test('the thread for what is interactive takes no bulk, unless it is the only one', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, express: 'at-start', startWorker: () => fixture(gate) })
  const only = poolFor(t, { workers: 0 })
  await pool.ready()

  const held = bulk(pool, ['hold', 'a', 'b', 'c'])
  await interactive(pool, ['one'])

  assert.equal(pool.stats().texts, 1)
  open(gate)
  await held
  assert.deepEqual(lengths(await bulk(only, ['bulk'])), [4])
  assert.equal(only.stats().restarts.length, 1)
})

test('a thread that is free of bulk for a moment takes what is interactive before more bulk', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, express: 'at-start', startWorker: () => fixture(gate) })
  await pool.ready()
  const held = bulk(pool, ['hold', ...Array.from({ length: 50 }, () => 'bulk')])
  const express = interactive(pool, ['hold on', 'hold too'])

  const waiting = interactive(
    pool,
    Array.from({ length: 5 }, () => 'question'),
  )
  open(gate)

  const turns = (await waiting).map(({ count }) => count)
  // At most the text that ran and the one that was sent ahead were before it, and each of the questions.
  assert.ok(Math.max(...turns) <= 2 + 5, `turns ${turns}`)
  await Promise.all([held, express])
})

test('a text that is at fault is rejected at once, with which one it is', async (t) => {
  const pool = poolFor(t, { workers: 1 })

  const refused = bulk(pool, ['fine', 'fault', 'fine too'])

  await assert.rejects(
    refused,
    (error: Error) => error instanceof Reject && /^text 2 of 3 is at fault$/.test(error.message),
  )
  assert.deepEqual(pool.stats().restarts, [0])
})

test('texts that may run together are sent together, up to the bound', async (t) => {
  const gate = closedGate()
  const pool = poolFor(t, { workers: 1, groupTextsMax: 4, startWorker: () => fixture(gate) })
  await pool.ready()
  const held = bulk(pool, ['hold'])
  const ahead = bulk(pool, ['ahead'])

  const answers = bulk(
    pool,
    Array.from({ length: 10 }, () => 'x'),
  )
  open(gate)

  assert.deepEqual(
    (await answers).map(({ together }) => together),
    [4, 4, 4, 4, 4, 4, 4, 4, 2, 2],
  )
  await Promise.all([held, ahead])
})

test('when a thread dies of texts that ran together, only the one that it died of is rejected', async (t) => {
  const pool = poolFor(t, { workers: 1, groupTextsMax: 4 })
  await pool.ready()

  const requests = ['a', 'die', 'bb', 'ccc'].map((text) => bulk(pool, [text]))
  const outcomes = await Promise.allSettled(requests)

  assert.deepEqual(
    outcomes.map((each) => (each.status === 'fulfilled' ? lengths(each.value) : each.reason.name)),
    [[1], 'Reject', [2], [3]],
  )
})

function poolFor(t: TestContext, options: Partial<PoolOptions<string>>) {
  const pool = createPool<string, Counted>(optionsWith(options))
  t.after(() => pool.close())
  return pool
}

function optionsWith(options: Partial<PoolOptions<string>>): PoolOptions<string> {
  const log = { warn() {} }
  return {
    name: 'test',
    workers: 1,
    express: 'at-first-use',
    startWorker: () => fixture(),
    bytesOf: (text) => text.length,
    describe: (text) => `${text.length} characters long`,
    queueTextsMax: 1_000,
    queueBytesMax: 1e9,
    groupTextsMax: 1,
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
