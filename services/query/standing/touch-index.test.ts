import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { random } from '../../../test/random.ts'
import { TouchIndex, type Watch } from './touch-index.ts'

const DIMENSIONS = 4
const watch = (over: Partial<Watch>): Watch => ({
  tenant: 'acme',
  keys: [],
  dense: null,
  keyword: null,
  admits: () => true,
  ...over,
})
const document = (key: string, vectors: readonly number[][] = [], terms: readonly number[] = [], tenant = 'acme') => ({
  tenant,
  key,
  attributes: { tenant },
  acl: null,
  chunks: vectors.map((vector) => ({
    vector: Float32Array.from(vector),
    terms: { indices: Uint32Array.from(terms), values: Float32Array.from(terms, () => 1) },
  })),
})
const ofTerms = (weights: Readonly<Record<number, number>>, scoreMin: number): Watch['keyword'] => ({
  terms: Uint32Array.from(Object.keys(weights), Number),
  weights: Float64Array.from(Object.values(weights)),
  scoreMin,
})
const any = Number.NEGATIVE_INFINITY

test('a standing query is touched by a document of its lists, by a nearer chunk, and by one of its terms, of its tenant alone', () => {
  const index = new TouchIndex<string>(DIMENSIONS)
  index.set('of a list', watch({ keys: ['acme/a', 'acme/a'] }))
  index.set('near', watch({ dense: { vector: Float32Array.of(1, 0, 0, 0), scoreMin: 0.5 } }))
  index.set('with room', watch({ dense: { vector: Float32Array.of(0, 1, 0, 0), scoreMin: any } }))
  index.set('of terms', watch({ keyword: ofTerms({ 7: 1, 9: 1 }, any) }))

  const touched = (...of: Parameters<typeof document>) => [...index.touchedBy(document(...of))].sort()

  assert.deepEqual(touched('acme/a'), ['of a list'], 'deleted')
  assert.deepEqual(touched('acme/b'), [], 'deleted, and in no list')
  assert.deepEqual(touched('acme/b', [[0.6, 0, 0, 0]]), ['near', 'with room'])
  assert.deepEqual(touched('acme/b', [[0.4, 0, 0, 0]], [9]), ['of terms', 'with room'])
  assert.deepEqual(touched('zenith/a', [[1, 1, 0, 0]], [9], 'zenith'), [])
})

test('where a list of terms is full, only what scores as much as its last, or nearly, touches it', () => {
  const index = new TouchIndex<string>(DIMENSIONS)
  index.set('full', watch({ keyword: ofTerms({ 7: 2, 9: 3 }, 4) }))
  index.set('of a term of unknown weight', watch({ keyword: ofTerms({ 7: 2, 8: Number.POSITIVE_INFINITY }, 4) }))

  const touched = (...terms: number[]) => [...index.touchedBy(document('acme/b', [[0, 0, 0, 0]], terms))].sort()

  assert.deepEqual(touched(7), [])
  assert.deepEqual(touched(9), [])
  assert.deepEqual(touched(7, 9), ['full'])
  assert.deepEqual(touched(8), ['of a term of unknown weight'])
  index.set('full', watch({ keyword: ofTerms({ 7: 2, 9: 3 }, 3.2) }))
  assert.deepEqual(touched(9), ['full'], 'within what weights may have moved')
})

test('a document that a standing query does not ask for, or may not be shown, touches it only where it was in its lists', () => {
  const index = new TouchIndex<string>(DIMENSIONS)
  const near = { vector: Float32Array.of(1, 0, 0, 0), scoreMin: 0.5 }
  index.set('of others', watch({ keys: ['acme/a'], dense: near, keyword: ofTerms({ 7: 1 }, any), admits: () => false }))

  const touched = (key: string) => [...index.touchedBy(document(key, [[1, 0, 0, 0]], [7]))]

  assert.deepEqual(touched('acme/b'), [])
  assert.deepEqual(touched('acme/a'), ['of others'])
})

test('of one standing query it is known by itself what touches it', () => {
  const next = random(7)
  const some = (count: number) => Array.from({ length: count }, () => Math.floor(next() * 12))
  const index = new TouchIndex<number>(DIMENSIONS)
  for (let id = 0; id < 60; id++)
    index.set(
      id,
      watch({
        keys: some(3).map((key) => `acme/${key}`),
        dense: next() < 0.5 ? null : { vector: Float32Array.from(some(DIMENSIONS)), scoreMin: 300 * next() },
        keyword: ofTerms(Object.fromEntries(some(3).map((term) => [term, next()])), next() < 0.5 ? any : next()),
        admits: ({ key }) => id % 3 > 0 || key < 'acme/5',
      }),
    )
  let count = 0

  for (let i = 0; i < 200; i++) {
    const changed = document(`acme/${some(1)}`, [some(DIMENSIONS), some(DIMENSIONS)], [...new Set(some(3))])
    const touched = index.touchedBy(changed)
    for (let id = 0; id < 60; id++) assert.equal(index.touches(id, changed), touched.has(id))
    count += touched.size
  }

  assert.ok(count > 1_000 && count < 11_000, `${count} were touched`)
})

test('as standing queries come and go, those that are touched are those that a look at each one finds', () => {
  const vectors = fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: DIMENSIONS, maxLength: DIMENSIONS })
  const changes = fc.array(
    fc.record({
      id: fc.nat(40),
      isGone: fc.boolean(),
      vector: vectors,
      scoreMin: fc.double({ min: -1, max: 1, noNaN: true }),
    }),
  )
  fc.assert(
    fc.property(changes, vectors, (list, changed) => {
      const index = new TouchIndex<number>(DIMENSIONS)
      const present = new Map<number, { vector: Float32Array; scoreMin: number }>()
      for (const { id, isGone, vector, scoreMin } of list) {
        const dense = { vector: Float32Array.from(vector), scoreMin }
        if (isGone) {
          index.delete(id)
          present.delete(id)
        } else {
          index.set(id, watch({ dense }))
          present.set(id, dense)
        }
      }

      const touched = index.touchedBy(document('acme/a', [changed]))

      const chunk = Float32Array.from(changed)
      const score = (vector: Float32Array) => vector.reduce((sum, each, i) => sum + each * chunk[i]!, 0)
      const expected = [...present].filter(([, { vector, scoreMin }]) => score(vector) >= scoreMin - 1e-4)
      assert.deepEqual([...touched].sort(), expected.map(([id]) => id).sort())
      assert.equal(index.size, present.size)
    }),
  )
})
