import { compareFences, type Fence, fenceText } from './fence.ts'
import type { KnownVectors, Manifest, Marker, VectorIndex } from './vector-index.ts'

/** A chunk as the index in memory holds it. */
export interface StoredChunk {
  readonly key: string
  readonly fence: string
  readonly ordinal: number
  readonly text: string
  readonly hash: string
  readonly vector: Buffer
}

/** The index without Qdrant: for tests and simulations. It passes the same contract as `connectors/qdrant`. */
export interface MemoryIndex extends VectorIndex, KnownVectors {
  /** What a search may show: chunks whose fence is their manifest's content fence. */
  served(): readonly StoredChunk[]
  readonly chunks: ReadonlyMap<string, StoredChunk>
  /** All that it holds, to be put back later: an older copy. */
  copy(): Copy
  restore(copy: Copy): void
}

export interface Copy {
  readonly chunks: readonly (readonly [string, StoredChunk])[]
  readonly manifests: readonly (readonly [string, Manifest])[]
  readonly markers: readonly (readonly [number, Marker])[]
}

export function memoryIndex({
  collection = 'test',
  space = 'es_test',
}: {
  collection?: string
  space?: string
} = {}): MemoryIndex {
  const chunks = new Map<string, StoredChunk>()
  const manifests = new Map<string, Manifest>()
  const markers = new Map<number, Marker>()
  const chunkKey = (key: string, fence: Fence, ordinal: number) => `${key}\n${fenceText(fence)}\n${ordinal}`

  return {
    collection,
    space,
    chunks,
    async read(keys, partition) {
      return { manifests: keys.map((key) => manifests.get(key) ?? null), marker: markers.get(partition) ?? null }
    },
    async apply(writes) {
      for (const { manifest, chunks: written } of writes) {
        for (const [ordinal, { text, hash, vector }] of (written?.chunks ?? []).entries()) {
          const fence = manifest.content!
          chunks.set(chunkKey(manifest.key, fence, ordinal), {
            key: manifest.key,
            fence: fenceText(fence),
            ordinal,
            text,
            hash,
            vector,
          })
        }
      }
      for (const { expected, manifest } of writes) {
        const present = manifests.get(manifest.key)
        const isAsRead =
          expected === null
            ? present === undefined
            : present !== undefined && compareFences(present.fence, expected) === 0
        if (isAsRead) manifests.set(manifest.key, manifest)
      }
    },
    async settle(left, marker) {
      for (const { key, fence, count } of left)
        for (let ordinal = 0; ordinal < count; ordinal++) chunks.delete(chunkKey(key, fence, ordinal))
      markers.set(marker.partition, marker)
    },
    async manifests(keys) {
      return keys.map((key) => manifests.get(key) ?? null)
    },
    async vectors(present) {
      const known = new Map<string, Buffer>()
      for (const { key, content, chunks: count } of present) {
        for (let ordinal = 0; content !== null && ordinal < count; ordinal++) {
          const chunk = chunks.get(chunkKey(key, content, ordinal))
          if (chunk !== undefined) known.set(chunk.hash, chunk.vector)
        }
      }
      return known
    },
    served() {
      return [...chunks.values()].filter(({ key, fence }) => {
        const manifest = manifests.get(key)
        return manifest?.content != null && !manifest.deleted && fenceText(manifest.content) === fence
      })
    },
    copy: () => ({ chunks: [...chunks], manifests: [...manifests], markers: [...markers] }),
    restore(copy) {
      for (const map of [chunks, manifests, markers]) map.clear()
      for (const [key, chunk] of copy.chunks) chunks.set(key, chunk)
      for (const [key, manifest] of copy.manifests) manifests.set(key, manifest)
      for (const [partition, marker] of copy.markers) markers.set(partition, marker)
    },
  }
}
