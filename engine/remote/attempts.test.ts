import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stepAfter } from './attempts.ts'
import { batchOf, turnOf } from './batching.ts'
import { answerOf } from './http.ts'
import type { Answer } from './transport.ts'
import { checkVectors } from './vectors.ts'

const first = { attempt: 1, attemptsMax: 4, texts: 8, random: () => 0.5 }
const down: Answer = { is: 'down', words: '', retryAfterMs: null, answered: true }

test('trouble is tried again after a wait with jitter that grows, and given up after so many attempts', () => {
  const steps = [1, 2, 3, 4].map((attempt) => stepAfter(down, { ...first, attempt }))

  assert.deepEqual(steps, [
    { do: 'again', afterMs: 100 },
    { do: 'again', afterMs: 200 },
    { do: 'again', afterMs: 400 },
    { do: 'give-up' },
  ])
})

test('a service is left alone for as long as it asks, and whoever waits hears of it where that is long', () => {
  const busy = (retryAfterMs: number): Answer => ({ is: 'busy', words: '', retryAfterMs })

  assert.deepEqual(stepAfter(busy(2_000), first), { do: 'again', afterMs: 2_100 })
  assert.deepEqual(stepAfter(busy(20_000), first), { do: 'give-up' })
})

test('a refusal halves the texts until one is alone, and being let in by nobody is no text’s fault', () => {
  const refused: Answer = { is: 'refused', words: '' }

  assert.deepEqual(stepAfter(refused, first), { do: 'halve' })
  assert.deepEqual(stepAfter(refused, { ...first, texts: 1 }), { do: 'prove' })
  assert.deepEqual(stepAfter({ is: 'barred', words: '' }, first), { do: 'give-up' })
})

test('every status means one thing', () => {
  const is = (status: number) => answerOf(status, {}, '', 0).is

  const meanings = Object.fromEntries(
    [301, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 424, 425, 429, 500, 501, 502, 503, 504, 529].map(
      (status) => [status, is(status)],
    ),
  )

  assert.deepEqual(meanings, {
    301: 'barred',
    400: 'refused',
    401: 'barred',
    402: 'barred',
    403: 'barred',
    404: 'barred',
    405: 'barred',
    408: 'down',
    409: 'down',
    413: 'refused',
    422: 'refused',
    424: 'down',
    425: 'down',
    429: 'busy',
    500: 'down',
    501: 'barred',
    502: 'down',
    503: 'down',
    504: 'down',
    529: 'down',
  })
})

test('when to come back is read from seconds, from a date and from ms', () => {
  const now = Date.parse('2026-11-24T12:00:00Z')
  const after = (headers: Record<string, string>) =>
    (answerOf(429, headers, '', now) as { retryAfterMs: number }).retryAfterMs

  assert.equal(after({ 'retry-after': '3' }), 3_000)
  assert.equal(after({ 'retry-after': 'Tue, 24 Nov 2026 12:00:05 GMT' }), 5_000)
  assert.equal(after({ 'retry-after': '3', 'retry-after-ms': '250' }), 250)
  assert.equal(after({ 'retry-after': 'soon' }), null)
})

test('a request takes as many texts as its bounds let, and one that is over them goes alone', () => {
  const of = (...tokens: number[]) => tokens.map((each) => ({ text: '', tokens: each, bytes: each * 2 }))
  const bounds = { textsMax: 3, tokensMax: 100, bytesMax: 180 }

  assert.equal(batchOf(of(1, 1, 1, 1), bounds), 3)
  assert.equal(batchOf(of(50, 50), bounds), 1)
  assert.equal(batchOf(of(50, 40, 20), bounds), 2)
  assert.equal(batchOf(of(500, 1), bounds), 1)
  assert.equal(batchOf([], bounds), 0)
})

test('queries go before documents, and the last of several requests is kept for them', () => {
  const turn = (queries: number, documents: number, requestsRunning: number, requestsMax = 3) =>
    turnOf({ queries, documents, requestsRunning, requestsMax })

  assert.deepEqual(
    [turn(1, 9, 0), turn(0, 9, 1), turn(0, 9, 2), turn(1, 9, 2), turn(1, 9, 3)],
    ['query', 'document', null, 'query', null],
  )
  assert.equal(turn(0, 1, 0, 1), 'document')
})

test('vectors come out with length one, and none that is wrong comes out at all', () => {
  const check = (...vectors: number[][]) => checkVectors(vectors, { texts: 1, dimensions: 2 })

  assert.deepEqual(check([3, 4]), [Float32Array.of(0.6, 0.8)])
  assert.deepEqual(check(), { fault: '0 vectors for 1 texts' })
  assert.deepEqual(check([1, 2], [1, 2]), { fault: '2 vectors for 1 texts' })
  assert.deepEqual(check([1, 2, 3]), { fault: 'vector 0 has 3 dimensions, and the space has 2' })
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, undefined as unknown as number, 1e300])
    assert.deepEqual(check([1, bad]), { fault: 'vector 0 has a number that is not finite' })
  assert.deepEqual(check([0, 0]), { fault: 'vector 0 is all zeros' })
})
