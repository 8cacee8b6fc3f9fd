import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Breaker } from './breaker.ts'

const breaker = (random = () => 1) => new Breaker({ failuresMax: 3, openMsMin: 1_000, openMsMax: 8_000, random })

test('it opens after so many failures in a row, and a success between begins the count anew', () => {
  const one = breaker()

  const before = [one.failed(0), one.failed(0)]
  one.succeeded()
  const after = [one.failed(0), one.failed(0), one.failed(0)]

  assert.deepEqual([...before, ...after], [false, false, false, false, true])
  assert.equal(one.state(0), 'open')
})

test('half open it lets one request try, and the others wait for how that ends', () => {
  const one = breaker()
  for (let i = 0; i < 3; i++) one.failed(0)

  const open = one.waitMs(500)
  one.began(2_000)

  assert.equal(open, 1_500)
  assert.equal(one.state(2_000), 'half-open')
  assert.equal(one.waitMs(2_000), Number.POSITIVE_INFINITY)
  one.succeeded()
  assert.equal(one.waitMs(2_000), 0)
})

test('each try that fails keeps it open for longer, up to the bound, and chance makes it shorter', () => {
  const openings = (random: () => number) => {
    const one = breaker(random)
    for (let i = 0; i < 3; i++) one.failed(0)
    const waits = []
    for (let now = 0, i = 0; i < 5; i++) {
      waits.push(one.waitMs(now))
      now += one.waitMs(now)
      one.began(now)
      one.failed(now)
    }
    return waits
  }

  assert.deepEqual(
    openings(() => 1),
    [2_000, 4_000, 8_000, 8_000, 8_000],
  )
  assert.deepEqual(
    openings(() => 0),
    [1_000, 1_000, 1_000, 1_000, 1_000],
  )
})

test('a failure that no other request could avoid opens it at once, and a try that was given up lets the next one try', () => {
  const one = breaker()

  one.failed(0, true)
  one.began(5_000)
  one.gaveUp()

  assert.equal(one.waitMs(5_000), 0)
  assert.equal(one.state(1_000), 'open')
})
