import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Frontier, positionsOf, tokenOf, worstOf } from './freshness.ts'

test('a partition that is followed to its end is not stale', () => {
  const frontier = new Frontier()
  frontier.sawEnd(10, 1_000)
  frontier.sawLow(9)

  const { staleMs, complete } = frontier.freshness(5_000)

  assert.deepEqual([staleMs, complete], [0, true])
})

test('staleness counts from when the first open position was first seen', () => {
  const frontier = new Frontier()
  frontier.sawEnd(10, 1_000)
  frontier.sawLow(9)
  frontier.sawEnd(12, 2_000)
  frontier.sawEnd(15, 3_000)

  const before = frontier.freshness(4_000).staleMs
  frontier.sawLow(11)
  const after = frontier.freshness(4_000).staleMs

  assert.deepEqual([before, after], [2_000, 1_000])
})

test('what was there before we looked is not complete until it is done', () => {
  const frontier = new Frontier()
  frontier.sawEnd(10, 1_000)
  frontier.sawLow(4)

  const behind = frontier.freshness(2_000)
  frontier.sawLow(9)
  const done = frontier.freshness(2_000)

  assert.deepEqual([behind.complete, behind.staleMs > 0], [false, true])
  assert.deepEqual([done.complete, done.staleMs], [true, 0])
})

test('an empty partition of which nothing was ever said is complete, another is not', () => {
  const [empty, filled] = [new Frontier(), new Frontier()]
  empty.sawEnd(0, 1_000)
  filled.sawEnd(3, 1_000)

  assert.equal(empty.freshness(2_000).complete, true)
  assert.equal(filled.freshness(2_000).complete, false)
})

test('a watermark that goes back makes the partition stale again', () => {
  const frontier = new Frontier()
  frontier.sawEnd(10, 1_000)
  frontier.sawLow(9)

  frontier.sawLow(3)
  const { staleMs, complete } = frontier.freshness(2_000)

  assert.equal(complete, false)
  assert.ok(staleMs > 0)
})

test('the worst partition speaks for all', () => {
  const worst = worstOf([
    { low: 1, end: 2, staleMs: 0, complete: true },
    { low: 1, end: 9, staleMs: 70, complete: false },
    { low: 1, end: 3, staleMs: 20, complete: true },
  ])

  assert.deepEqual(worst, { staleMs: 70, complete: false })
})

test('a token comes back as the positions that it was made of, and nothing else is one', () => {
  const positions = { epoch: 2, documents: { 0: 17, 3: [4, 5] } }

  assert.deepEqual(positionsOf(tokenOf(positions)), positions)
  for (const bad of [
    '',
    'x',
    tokenOf({ epoch: 1.5, documents: {} }),
    tokenOf({ epoch: 1, documents: { 99999: 1 } }),
    tokenOf({ epoch: 1, documents: { 0: [0.5] } }),
  ])
    assert.equal(positionsOf(bad), null)
})
