import { qdrantContents } from '../../connectors/qdrant/contents.ts'
import { qdrantKnownVectors } from '../../connectors/qdrant/known-vectors.ts'
import { qdrantSearch } from '../../connectors/qdrant/search.ts'
import { qdrantIndex } from '../../connectors/qdrant/vector-index.ts'
import { vectorIndexContract } from '../../processors/vector-index-contract.ts'
import { memoryQdrant } from './memory-qdrant.ts'

vectorIndexContract('Qdrant in memory', async (space, dimensions) => {
  const { qdrant } = memoryQdrant()
  const spec = { collection: 'contract', space, dimensions }
  return {
    index: qdrantIndex(qdrant, spec),
    known: qdrantKnownVectors(qdrant, spec, (error) => {
      throw error
    }),
    contents: qdrantContents(qdrant, spec),
    count: async () => (await qdrantSearch(qdrant, spec).count()).chunks,
    close: async () => {},
  }
})
