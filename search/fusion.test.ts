import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fuse } from './fusion.ts'

const lists = fc.uniqueArray(
  fc.record({ id: fc.string({ minLength: 1, maxLength: 3 }), score: fc.integer({ min: 0, max: 5 }) }),
  { selector: ({ id }) => id },
)

test('what both lists hold comes before what only one holds', () => {
  const dense = [
    { id: 'a', score: 0.9 },
    { id: 'b', score: 0.8 },
  ]
  const keyword = [
    { id: 'c', score: 7 },
    { id: 'b', score: 5 },
  ]

  const fused = fuse({ dense, keyword, k: 10 })

  assert.deepEqual(
    fused.map(({ id }) => id),
    ['b', 'a', 'c'],
  )
})

test('the order in which a server returns ties never shows', () => {
  fc.assert(
    fc.property(
      lists,
      lists,
      fc.integer({ min: 1, max: 10 }),
      fc.infiniteStream(fc.nat()),
      (dense, keyword, k, chance) => {
        const shuffled = [...dense]
          .map((item) => ({ item, at: chance.next().value }))
          .sort((a, b) => a.at - b.at)
          .map(({ item }) => item)

        assert.deepEqual(fuse({ dense: shuffled, keyword: [...keyword].reverse(), k }), fuse({ dense, keyword, k }))
      },
    ),
  )
})

test('no more than k are answered, best first', () => {
  fc.assert(
    fc.property(lists, lists, fc.integer({ min: 1, max: 10 }), (dense, keyword, k) => {
      const fused = fuse({ dense, keyword, k })

      assert.ok(fused.length <= k)
      assert.ok(fused.every(({ score }, i) => i === 0 || score <= fused[i - 1]!.score))
    }),
  )
})
