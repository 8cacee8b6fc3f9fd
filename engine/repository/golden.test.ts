import assert from 'node:assert/strict'
import { test } from 'node:test'
import { goldenFault, goldenIn, goldenOf, vectorsOf } from './golden.ts'

const vectors = [Float32Array.of(0.6, 0.8), Float32Array.of(1, 0)]
const here = { environment: 'here', quantisation: 'int8' as const }
const golden = goldenOf(vectors, here)

test('golden vectors are read as they were written', () => {
  const read = goldenIn(JSON.stringify(golden))

  assert.deepEqual(vectorsOf(read), vectors)
  assert.equal(goldenFault(read, vectors, 'anywhere'), null)
})

test('in the same environment the last bit counts', () => {
  const near = [Float32Array.of(0.6, 0.8), Float32Array.of(1, 1e-7)]

  assert.match(
    goldenFault(golden, near, 'here')!,
    /other vectors than where the model was added, on the same processor/,
  )
  assert.equal(goldenFault(golden, near, 'elsewhere'), null)
})

test('in another environment the cosine has a floor, and says which text is below it', () => {
  const far = [Float32Array.of(0.6, 0.8), Float32Array.of(0.9, 0.5)]

  assert.match(
    goldenFault(golden, far, 'elsewhere')!,
    /golden text 2 has the cosine 0\.8742 .*; at least 0\.95 is wanted/,
  )
})

test('vectors of other dimensions, and those that are no numbers, are refused anywhere', () => {
  const longer = [Float32Array.of(0.6, 0.8, 0), Float32Array.of(1, 0, 0)]
  const none = [Float32Array.of(Number.NaN, 0.8), Float32Array.of(1, 0)]

  assert.match(goldenFault(golden, longer, 'elsewhere')!, /cosine -1\.0000/)
  assert.match(goldenFault(golden, none, 'elsewhere')!, /cosine -1\.0000/)
  assert.match(goldenFault(golden, [vectors[0]!], 'elsewhere')!, /1 golden texts, and vectors of 2/)
})
