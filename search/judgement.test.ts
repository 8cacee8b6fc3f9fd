import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meanOf, ndcgAt, overlapAt, quantile, recallAt } from './judgement.ts'

test('two rankings overlap by what both have among the first, in whatever order', () => {
  assert.equal(overlapAt(2, ['a', 'b', 'c'], ['b', 'a', 'd']), 1)
  assert.equal(overlapAt(3, ['a', 'b', 'c'], ['b', 'a', 'd']), 2 / 3)
  assert.equal(overlapAt(3, ['a'], ['a', 'b', 'c']), 1 / 3)
  assert.equal(overlapAt(3, [], []), 1)
})

test('recall counts what can be found among the first, each document once', () => {
  const relevant = new Set(['a', 'b', 'c'])

  assert.equal(recallAt(2, ['a', 'x', 'b'], relevant), 1 / 2)
  assert.equal(recallAt(3, ['a', 'a', 'b'], relevant), 2 / 3)
})

test('a relevant document is worth less the later it comes, and the best order is 1', () => {
  const relevant = new Set(['a', 'b'])

  assert.equal(ndcgAt(3, ['b', 'a', 'x'], relevant), 1)
  assert.ok(Math.abs(ndcgAt(3, ['a', 'x', 'b'], relevant) - 1.5 / (1 + 1 / Math.log2(3))) < 1e-12)
  assert.equal(ndcgAt(3, ['x', 'a', 'a'], new Set(['a'])), 1 / Math.log2(3))
  assert.equal(ndcgAt(1, ['x', 'a'], relevant), 0)
})

test('a quantile is a value that was measured', () => {
  assert.equal(quantile(0.5, [3, 1, 2]), 2)
  assert.equal(quantile(0.95, [3, 1, 2]), 3)
  assert.equal(quantile(0.5, []), 0)
  assert.equal(meanOf([]), null)
  assert.equal(meanOf([1, 2]), 1.5)
})
