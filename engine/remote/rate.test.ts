import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Rate } from './rate.ts'

test('ten seconds’ worth goes at once, then as much as comes in', () => {
  const rate = new Rate(60, 0)

  for (let i = 0; i < 10; i++) {
    assert.equal(rate.waitMs(1, 0), 0)
    rate.spend(1)
  }

  assert.equal(rate.waitMs(1, 0), 1_000)
  assert.equal(rate.waitMs(1, 1_000), 0)
})

test('what is larger than ten seconds’ worth waits until all of it is there, and is paid for afterwards', () => {
  const rate = new Rate(600, 0)

  const first = rate.waitMs(1_000, 0)
  rate.spend(1_000)

  assert.equal(first, 0)
  assert.equal(rate.waitMs(1, 0), 90_100)
  assert.equal(rate.waitMs(1_000, 0), 100_000)
})

test('what is given back is there again, and no more than there was', () => {
  const rate = new Rate(60, 0)
  for (let i = 0; i < 10; i++) rate.spend(1)

  rate.spend(-1)
  const one = [rate.waitMs(1, 0), rate.waitMs(2, 0)]
  rate.spend(-1_000)

  assert.deepEqual(one, [0, 1_000])
  assert.equal(rate.waitMs(11, 0), 0)
  rate.spend(11)
  assert.equal(rate.waitMs(1, 0), 2_000)
})

test('without a bound nothing waits', () => {
  const rate = new Rate(null, 0)

  rate.spend(1e12)

  assert.equal(rate.waitMs(1e12, 0), 0)
})
