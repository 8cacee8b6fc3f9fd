import assert from 'node:assert/strict'
import { test } from 'node:test'
import { murmur3 } from './murmur3.ts'

test('hashes are those of the reference implementation with seed 0', () => {
  const texts = [
    '',
    'a',
    'ab',
    'abc',
    'abcd',
    'hello',
    'hello, world',
    'The quick brown fox jumps over the lazy dog',
    '東京大学',
  ]

  const hashes = texts.map(murmur3)

  assert.deepEqual(
    hashes,
    [0, 0x3c2569b2, 0x9bbfd75f, 0xb3dd93fa, 0x43ed676a, 0x248bfa47, 0x149bbb7f, 0x2e4ff723, 0xd0331c49],
  )
})
