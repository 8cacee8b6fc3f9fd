import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Budget, type Spent, type SpentRecord } from './budget.ts'

const noon = Date.UTC(2026, 10, 24, 12)
const HOUR_MS = 3_600_000

function record(first: Spent | null = null): SpentRecord & { last: Spent | null; writes: number } {
  return {
    last: first,
    writes: 0,
    read() {
      return this.last
    },
    write(spent) {
      this.last = spent
      this.writes += 1
    },
  }
}

test('what is over the day’s tokens waits for the next UTC day', () => {
  const budget = new Budget(1_000, record())
  budget.spend(990, noon)

  const waits = [budget.waitMs(10, noon), budget.waitMs(11, noon), budget.waitMs(11, noon + 12 * HOUR_MS)]

  assert.deepEqual(waits, [0, 12 * HOUR_MS, 0])
  assert.equal(budget.left(noon + 12 * HOUR_MS), 1_000)
})

test('a process that comes back knows what was spent; after a crash it counts at most a hundredth too much, and never too little', () => {
  const kept = record()
  const dies = new Budget(10_000, kept)
  for (let i = 0; i < 500; i++) dies.spend(7, noon)

  const after = new Budget(10_000, record(kept.last))
  dies.close()
  const afterClose = new Budget(10_000, record(kept.last))

  const left = after.left(noon)!
  assert.ok(left <= 6_500 && left >= 6_400, String(left))
  assert.equal(afterClose.left(noon), 6_500)
  assert.ok(kept.writes < 50, String(kept.writes))
})

test('a clock that is set back gives nothing again, and what another day spent does not count', () => {
  const budget = new Budget(100, record({ day: '2026-11-23', tokens: 100 }))

  budget.spend(100, noon)

  assert.equal(budget.left(noon), 0)
  assert.equal(budget.left(noon - 48 * HOUR_MS), 0)
})

test('a request that is larger than the whole budget goes as the first of a day, or it would never go', () => {
  const budget = new Budget(100, record())

  const first = budget.waitMs(500, noon)
  budget.spend(500, noon)

  assert.equal(first, 0)
  assert.equal(budget.waitMs(1, noon), 12 * HOUR_MS)
})

test('without a budget nothing is written', () => {
  const kept = record()

  const budget = new Budget(null, kept)
  budget.spend(1e9, noon)
  budget.close()

  assert.deepEqual([budget.waitMs(1, noon), budget.left(noon), kept.writes], [0, null, 0])
})
