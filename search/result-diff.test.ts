import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { applyChanges } from '../client/apply-changes.ts'
import { differenceOf } from './result-diff.ts'

const fields = { hitId: fc.constantFrom(...'abcdefghijkl'), score: fc.nat(9), text: fc.constantFrom('x', 'y') }
const list = fc.uniqueArray(fc.record(fields, { noNullPrototype: true }), {
  selector: ({ hitId }) => hitId,
})

test('a list and the difference to another give the other', () => {
  fc.assert(
    fc.property(list, list, (before, after) => {
      const changes = differenceOf(before, after)

      assert.deepEqual(applyChanges(before, changes), after)
      assert.equal(differenceOf(after, after).length, 0)
    }),
  )
})

test('a difference says what a person would say', () => {
  const hit = (hitId: string, score: number, text = 'x') => ({ hitId, score, text })
  const before = [hit('a', 9), hit('b', 8), hit('c', 7)]
  const after = [hit('b', 8), hit('d', 7.5), hit('c', 7, 'y')]

  assert.deepEqual(differenceOf(before, after), [
    { op: 'leave', hitId: 'a' },
    { op: 'move', hitId: 'b', rank: 1, score: 8 },
    { op: 'enter', rank: 2, hit: hit('d', 7.5) },
    { op: 'update', rank: 3, hit: hit('c', 7, 'y') },
  ])
})
