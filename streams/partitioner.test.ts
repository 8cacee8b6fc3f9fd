import { strict as assert } from 'node:assert'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { murmur2, partitionOf } from './partitioner.ts'

interface Vector {
  readonly key: string
  readonly murmur2: number
  readonly partitionOf12: number
  readonly partitionOf7: number
}

/** What is published for other producers, as printed by Kafka 4.3.1's own `Utils.murmur2` and `Utils.toPositive`. */
const published = new URL('../docs/examples/partitioner-vectors.json', import.meta.url)
const { vectors } = JSON.parse(readFileSync(published, 'utf8')) as { vectors: readonly Vector[] }

test('a key lies in the partition that the Java client puts it in', () => {
  const found = vectors.map(({ key }) => ({
    key,
    murmur2: murmur2(Buffer.from(key)),
    partitionOf12: partitionOf(key, 12),
    partitionOf7: partitionOf(key, 7),
  }))

  assert.deepEqual(found, vectors)
  assert.ok(vectors.length >= 16)
})

test('a key that is not text is hashed by its bytes', () => {
  const bytes = Buffer.from([0, 255, 128, 1, 254])

  assert.equal(murmur2(bytes), 1434120770)
  assert.equal(partitionOf(Buffer.from('acme/a'), 12), partitionOf('acme/a', 12))
})
