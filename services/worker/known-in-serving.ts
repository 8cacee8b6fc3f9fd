import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { qdrantKnownVectors } from '../../connectors/qdrant/known-vectors.ts'
import type { Space } from '../../engine/embedder.ts'
import type { KnownVectors } from '../../processors/vector-index.ts'

/** What the collection that serves knows, whichever it is at the time. */
export function knownInServing(
  qdrant: Qdrant,
  { id, dimensions }: Pick<Space, 'id' | 'dimensions'>,
  serving: () => string,
  missed: (error: unknown) => void,
): KnownVectors {
  const byCollection = new Map<string, KnownVectors>()
  const known = (): KnownVectors => {
    const collection = serving()
    const present =
      byCollection.get(collection) ?? qdrantKnownVectors(qdrant, { collection, space: id, dimensions }, missed)
    byCollection.set(collection, present)
    return present
  }
  return {
    manifests: (keys) => known().manifests(keys),
    vectors: (manifests) => known().vectors(manifests),
  }
}
