/** MurmurHash3_x86_32 of the UTF-8 bytes, seed 0 (Appleby, public domain): the hash of fastembed's and Qdrant's own BM25. */
export function murmur3(text: string): number {
  const bytes = Buffer.from(text)
  const blocksEnd = bytes.length & ~3
  let hash = 0
  for (let i = 0; i < blocksEnd; i += 4) {
    hash ^= scramble(bytes.readInt32LE(i))
    hash = (Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let i = bytes.length - 1; i >= blocksEnd; i--) tail = (tail << 8) | bytes[i]!
  hash ^= scramble(tail) ^ bytes.length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scramble(block: number): number {
  const k = Math.imul(block, 0xcc9e2d51)
  return Math.imul((k << 15) | (k >>> 17), 0x1b873593)
}
