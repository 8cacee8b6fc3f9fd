import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { murmur2, partitionOf } from './partitioner.ts'

/** Key, hash, partition of 12, partition of 7, as printed by Kafka 4.3.1's own `Utils.murmur2` and `Utils.toPositive`. */
const VECTORS: readonly (readonly [string, number, number, number])[] = [
  ['', 275646681, 9, 2],
  ['a', -1563381124, 4, 5],
  ['ab', 316155434, 2, 0],
  ['abc', 479470107, 3, 4],
  ['abcd', -1323649548, 8, 5],
  ['21', -973932308, 0, 3],
  ['foobar', -790332482, 6, 0],
  ['a-little-bit-long-string', -985981536, 8, 1],
  ['acme/a', 372905849, 5, 1],
  ['acme/b', 475017547, 7, 4],
  ['acme/doc-1', 1354496397, 9, 2],
  ['tenant/é', -973613000, 0, 6],
  ['tenant/日本語', 2031519472, 4, 3],
  ['tenant/😀', 1040294546, 2, 4],
  ['~/3', 1496475550, 10, 3],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971, 5, 3],
]

test('a key lies in the partition that the Java client puts it in', () => {
  const found = VECTORS.map(([key]) => [key, murmur2(Buffer.from(key)), partitionOf(key, 12), partitionOf(key, 7)])

  assert.deepEqual(found, VECTORS)
})

test('a key that is not text is hashed by its bytes', () => {
  const bytes = Buffer.from([0, 255, 128, 1, 254])

  assert.equal(murmur2(bytes), 1434120770)
  assert.equal(partitionOf(Buffer.from('acme/a'), 12), partitionOf('acme/a', 12))
})
