import { crc32 } from 'node:zlib'
import type { KnownVectors } from '../../processors/vector-index.ts'
import type { Qdrant } from './client.ts'
import type { CollectionSpec } from './collection.ts'
import { manifestsIn, payloadsOf } from './manifests.ts'
import { chunkId, denseName, manifestId, readPayload } from './points.ts'
import { denseOf } from './stored-vectors.ts'

/** The vectors that the index holds, for the embed stage. Out of reach is the same as nothing known: it then embeds, and `missed` counts. */
export function qdrantKnownVectors(
  qdrant: Qdrant,
  { collection, space }: CollectionSpec,
  missed: (error: unknown) => void,
): KnownVectors {
  const dense = denseName(space)
  return {
    async manifests(keys) {
      if (keys.length === 0) return []
      try {
        return manifestsIn(await payloadsOf(qdrant, collection, keys.map(manifestId), { timeoutMs: TIMEOUT_MS }), keys)
      } catch (error) {
        missed(error)
        return keys.map(() => null)
      }
    },
    async vectors(manifests) {
      const known = new Map<string, Buffer>()
      const ids = manifests.flatMap(({ key, content, chunks }) =>
        content === null ? [] : Array.from({ length: chunks }, (_, ordinal) => chunkId(key, content, ordinal)),
      )
      try {
        for (let first = 0; first < ids.length; first += CHUNKS_PER_READ) {
          const { result } = await qdrant.points.get(
            {
              collectionName: collection,
              ids: ids.slice(first, first + CHUNKS_PER_READ),
              withPayload: { selectorOptions: { case: 'include', value: { fields: ['hash', 'checksum'] } } },
              withVectors: { selectorOptions: { case: 'include', value: { names: [dense] } } },
            },
            { timeoutMs: TIMEOUT_MS },
          )
          for (const { payload, vectors } of result) {
            const { hash, checksum } = readPayload(payload)
            const bytes = denseOf(vectors?.vectorsOptions, dense)
            if (bytes !== null && crc32(bytes) === checksum) known.set(String(hash), bytes)
          }
        }
      } catch (error) {
        missed(error)
      }
      return known
    },
  }
}

const CHUNKS_PER_READ = 256
/** Embedding again is cheaper than waiting longer. */
const TIMEOUT_MS = 2_000
