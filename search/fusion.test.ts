import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { byScoreThenId, fuse, type Ranked } from './fusion.ts'

const list = fc.uniqueArray(
  fc.record({ id: fc.stringMatching(/^[a-h]{1,2}$/), score: fc.integer({ min: 0, max: 4 }) }),
  {
    selector: ({ id }) => id,
    maxLength: 20,
  },
)
const ids = (ranked: readonly Ranked[]) => ranked.map(({ id }) => id)

test('what both lists found comes before what only one found at the same place', () => {
  const dense = [
    { id: 'vector', score: 0.9 },
    { id: 'both', score: 0.8 },
  ]
  const keyword = [
    { id: 'word', score: 12 },
    { id: 'both', score: 7 },
  ]

  const fused = fuse({ dense, keyword, k: 10 })

  assert.deepEqual(ids(fused), ['both', 'vector', 'word'])
  assert.equal(fused[0]?.score, 1 / 62 + 1 / 62)
  assert.equal(fused[1]?.score, 1 / 61)
})

test('weights decide between the lists, and no more than k results come back', () => {
  const dense = [{ id: 'vector', score: 0.9 }]
  const keyword = [{ id: 'word', score: 12 }]

  const fused = fuse({ dense, keyword, k: 1, weights: { dense: 1, keyword: 2 } })

  assert.deepEqual(fused, [{ id: 'word', score: 2 / 61 }])
})

test('an empty list leaves the other as it was ranked, and k of 0 gives nothing', () => {
  const keyword = [
    { id: 'b', score: 1 },
    { id: 'a', score: 1 },
    { id: 'c', score: 5 },
  ]

  assert.deepEqual(ids(fuse({ dense: [], keyword, k: 9 })), ['c', 'a', 'b'])
  assert.deepEqual(fuse({ dense: [], keyword, k: 0 }), [])
})

test('an id that stands twice in a list counts once, at its better place', () => {
  const dense = [
    { id: 'a', score: 3 },
    { id: 'b', score: 2 },
    { id: 'a', score: 1 },
    { id: 'c', score: 0 },
  ]

  const fused = fuse({ dense, keyword: [], k: 9 })

  assert.deepEqual(
    fused.map(({ score }) => score),
    [1 / 61, 1 / 62, 1 / 63],
  )
})

test('the order in which the lists arrive never changes the answer', () => {
  const shuffled = fc
    .tuple(list, list)
    .chain(([dense, keyword]) =>
      fc.tuple(
        fc.constant({ dense, keyword }),
        fc.shuffledSubarray(dense, { minLength: dense.length }),
        fc.shuffledSubarray(keyword, { minLength: keyword.length }),
        fc.nat(30),
      ),
    )

  fc.assert(
    fc.property(shuffled, ([lists, dense, keyword, k]) => {
      assert.deepEqual(fuse({ dense, keyword, k }), fuse({ ...lists, k }))
    }),
  )
})

test('the answer is ordered by score, then id, and fewer results are the beginning of more', () => {
  fc.assert(
    fc.property(list, list, fc.nat(30), (dense, keyword, k) => {
      const all = fuse({ dense, keyword, k: 100 })

      assert.deepEqual(all, all.toSorted(byScoreThenId))
      assert.deepEqual(fuse({ dense, keyword, k }), all.slice(0, k))
      assert.deepEqual(new Set(ids(all)), new Set([...ids(dense), ...ids(keyword)]))
    }),
  )
})
