import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprintOf } from './fingerprint.ts'

test('a fingerprint depends on the bytes of the vectors and their order, not on where they lie in memory', () => {
  const memory = Float32Array.of(9, 1, 2, 9)

  const fingerprint = fingerprintOf([memory.subarray(1, 3), Float32Array.of(3)])

  assert.equal(fingerprint, fingerprintOf([Float32Array.of(1, 2), Float32Array.of(3)]))
  assert.notEqual(fingerprint, fingerprintOf([Float32Array.of(3), Float32Array.of(1, 2)]))
  assert.notEqual(fingerprintOf([Float32Array.of(0)]), fingerprintOf([Float32Array.of(-0)]))
})
