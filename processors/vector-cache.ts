/** Vectors by the hash of their text, the least recently used forgotten first. A cache: what is not there is embedded. */
export interface VectorCache {
  get(hash: string): Buffer | undefined
  set(hash: string, vector: Buffer): void
}

export function vectorCache({ bytesMax }: { bytesMax: number }): VectorCache {
  const vectors = new Map<string, Buffer>()
  let bytes = 0
  return {
    get(hash) {
      const vector = vectors.get(hash)
      if (vector === undefined) return undefined
      vectors.delete(hash)
      vectors.set(hash, vector)
      return vector
    },
    set(hash, vector) {
      const former = vectors.get(hash)
      if (former !== undefined) bytes -= former.length + ENTRY_OVERHEAD_BYTES
      vectors.delete(hash)
      vectors.set(hash, vector)
      bytes += vector.length + ENTRY_OVERHEAD_BYTES
      for (const [oldest, { length }] of vectors) {
        if (bytes <= bytesMax) break
        vectors.delete(oldest)
        bytes -= length + ENTRY_OVERHEAD_BYTES
      }
    },
  }
}

/** The key, the map's slot, the buffer's header. */
const ENTRY_OVERHEAD_BYTES = 256
