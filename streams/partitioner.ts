/**
 * The published partitioner: murmur2 of the key's UTF-8 bytes, sign bit cleared, modulo the number of partitions, as Kafka's
 * Java client does by default. librdkafka's default (CRC32) puts the same key elsewhere; set `partitioner=murmur2_random` there.
 * Source: org.apache.kafka.common.utils.Utils.murmur2; vectors in docs/examples/partitioner-vectors.json.
 */
export function partitionOf(key: string | Buffer, partitions: number): number {
  const bytes = typeof key === 'string' ? Buffer.from(key, 'utf8') : key
  return (murmur2(bytes) & 0x7fffffff) % partitions
}

const M = 0x5bd1e995
const R = 24
const SEED = 0x9747b28c

/** 32-bit signed. */
export function murmur2(data: Buffer): number {
  const length = data.length
  let h = SEED ^ length
  let i = 0
  for (; i + 4 <= length; i += 4) {
    let k = Math.imul(data.readInt32LE(i), M)
    k ^= k >>> R
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const left = length - i
  if (left > 0) {
    if (left === 3) h ^= data[i + 2]! << 16
    if (left >= 2) h ^= data[i + 1]! << 8
    h = Math.imul(h ^ data[i]!, M)
  }
  h ^= h >>> 13
  h = Math.imul(h, M)
  return h ^ (h >>> 15)
}
