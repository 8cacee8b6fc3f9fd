import { createHash } from 'node:crypto'

/** Short and long, prose and code, other scripts, one that fills the model. What they say does not matter; that they never change does. */
export const goldenTexts: readonly string[] = [
  'freshet',
  'A freshet is a rush of fresh water flowing into the sea, or the flood of a river from heavy rain or melted snow.',
  'Which consumer commits the offsets of a partition after a rebalance?',
  'await consumer.run({ eachBatch: async ({ batch, commitOffsetsIfNecessary }) => index(batch.messages) })',
  'Der Fluss führt im Frühling Hochwasser. La rivière est en crue au printemps. 春になると川は増水する。',
  '| topic | key | kept |\n|---|---|---|\n| documents | tenant/id | compacted |\n| inbox | any | by time |',
  '0123456789 3.14159 2026-11-24T02:42:21Z 0xdeadbeef 😀 🌊',
  'The record is written once, read by many, and replaced by the next one of its key. '.repeat(16).trim(),
]

/** sha256 over the bytes of the vectors (little-endian f32), in order, hex. */
export function fingerprintOf(vectors: readonly Float32Array[]): string {
  const hash = createHash('sha256')
  for (const vector of vectors) hash.update(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
  return hash.digest('hex')
}
