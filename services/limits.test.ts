import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Buckets } from './limits.ts'

test('a burst is admitted at once, and from then on what the rate allows', () => {
  const buckets = new Buckets()
  const limit = { perSecond: 10, burst: 5 }
  const admitted: number[] = []

  for (let now = 0; now < 10_000; now++) if (buckets.take('ada', 1, limit, now).admitted) admitted.push(now)

  assert.deepEqual(admitted.slice(0, 6), [0, 1, 2, 3, 4, 100])
  assert.equal(admitted.length, 5 + 99)
})

test('who is refused is told when to come back, and is admitted then and not before', () => {
  const buckets = new Buckets()
  const limit = { perSecond: 3, burst: 4 }
  buckets.take('ada', 4, limit, 0)

  const { admitted, retryAfterMs, remaining } = buckets.take('ada', 2, limit, 100)

  assert.deepEqual([admitted, remaining], [false, 0])
  assert.equal(buckets.take('ada', 2, limit, 100 + retryAfterMs - 2).admitted, false)
  assert.equal(buckets.take('ada', 2, limit, 100 + retryAfterMs).admitted, true)
})

test('what is larger than the burst is admitted by a full bucket and paid for afterwards', () => {
  const buckets = new Buckets()
  const limit = { perSecond: 1, burst: 2 }

  const large = buckets.take('ada', 10, limit, 0)
  const early = buckets.take('ada', 1, limit, 8_500)
  const after = buckets.take('ada', 1, limit, 9_000)

  assert.deepEqual([large.admitted, early.admitted, after.admitted], [true, false, true])
})

test('holders do not spend for each other, and those that are remembered are bounded', () => {
  const buckets = new Buckets(2)
  const limit = { perSecond: 1, burst: 1 }

  for (const holder of ['a', 'b', 'c']) assert.equal(buckets.take(holder, 1, limit, 0).admitted, true)

  assert.equal(buckets.size, 2)
  assert.equal(buckets.take('c', 1, limit, 0).admitted, false)
})

test('whatever is asked when, no more is admitted than burst and rate allow', () => {
  fc.assert(
    fc.property(
      fc.array(fc.record({ after: fc.nat(500), cost: fc.integer({ min: 1, max: 5 }) }), { maxLength: 200 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 5, max: 20 }),
      (asked, perSecond, burst) => {
        const buckets = new Buckets()
        let now = 0
        let spent = 0
        for (const { after, cost } of asked) {
          now += after
          if (buckets.take('ada', cost, { perSecond, burst }, now).admitted) spent += cost
        }

        assert.ok(spent <= burst + (now / 1_000) * perSecond + 1e-6)
      },
    ),
  )
})
