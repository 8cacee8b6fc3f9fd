import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rawRows, rawTexts, rowsInRaw, textsInRaw } from './tensors.ts'

test('texts go into raw bytes and come out as they were', () => {
  const texts = ['', 'a freshet', 'Überschwemmung 😀', '\n']

  const raw = rawTexts(texts)

  assert.deepEqual(textsInRaw(raw), texts)
  assert.deepEqual([...rawTexts(['ab'])], [2, 0, 0, 0, 97, 98])
  assert.deepEqual(textsInRaw(new Uint8Array()), [])
})

test('raw bytes that were cut off are refused', () => {
  const raw = rawTexts(['one', 'two'])

  assert.throws(() => textsInRaw(raw.subarray(0, -1)), /element 2 ends after the 13 bytes/)
  assert.throws(() => textsInRaw(raw.subarray(0, 9)), /element 2 ends after the 9 bytes/)
})

test('rows of vectors go into raw bytes and come out as they were, from any place in memory', () => {
  const rows = [Float32Array.of(1, -2.5), Float32Array.of(3, 1e-7)]

  const raw = Buffer.concat([Buffer.of(0), rawRows(rows)]).subarray(1)

  assert.deepEqual(rowsInRaw(raw, 2), rows)
  assert.throws(() => rowsInRaw(raw, 3), /16 bytes are no rows of 3 numbers/)
})
