import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { TouchIndex, type Watch } from './touch-index.ts'

const DIMENSIONS = 4
const watch = (over: Partial<Watch>): Watch => ({
  tenant: 'acme',
  keys: new Set(),
  dense: null,
  terms: new Uint32Array(),
  ...over,
})
const document = (key: string, vectors: readonly number[][] = [], terms: readonly number[] = [], tenant = 'acme') => ({
  tenant,
  key,
  chunks: vectors.map((vector) => ({
    vector: Float32Array.from(vector),
    terms: { indices: Uint32Array.from(terms), values: Float32Array.from(terms, () => 1) },
  })),
})

test('a standing query is touched by a document of its lists, by a nearer chunk, and by one of its terms, of its tenant alone', () => {
  const index = new TouchIndex<string>(DIMENSIONS)
  index.set('of a list', watch({ keys: new Set(['acme/a']) }))
  index.set('near', watch({ dense: { vector: Float32Array.of(1, 0, 0, 0), scoreMin: 0.5 } }))
  index.set('with room', watch({ dense: { vector: Float32Array.of(0, 1, 0, 0), scoreMin: Number.NEGATIVE_INFINITY } }))
  index.set('of terms', watch({ terms: Uint32Array.of(7, 9) }))

  const touched = (...of: Parameters<typeof document>) => [...index.touchedBy(document(...of))].sort()

  assert.deepEqual(touched('acme/a'), ['of a list'], 'deleted')
  assert.deepEqual(touched('acme/b'), [], 'deleted, and in no list')
  assert.deepEqual(touched('acme/b', [[0.6, 0, 0, 0]]), ['near', 'with room'])
  assert.deepEqual(touched('acme/b', [[0.4, 0, 0, 0]], [9]), ['of terms', 'with room'])
  assert.deepEqual(touched('zenith/a', [[1, 1, 0, 0]], [9], 'zenith'), [])
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
