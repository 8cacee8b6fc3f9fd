import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { batchesOf } from './batches.ts'

test('like lengths run together, and what would be filled up too much does not', () => {
  const batches = batchesOf([10, 200, 12, 11, 190], 400)

  assert.deepEqual(batches, [
    [0, 3, 2],
    [4, 1],
  ])
})

test('each row is in one batch, and none has more tokens than the bound unless it is one row', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 600 })), fc.integer({ min: 1, max: 5_000 }), (lengths, bound) => {
      const batches = batchesOf(lengths, bound)

      const rows = batches.flat().sort((a, b) => a - b)
      assert.deepEqual(rows, [...lengths.keys()])
      for (const batch of batches) {
        const padded = batch.length * Math.max(...batch.map((at) => lengths[at]!))
        assert.ok(batch.length === 1 || padded <= bound)
      }
    }),
  )
})
