import { randomUUID } from 'node:crypto'
import { vectorIndexContract } from '../../processors/vector-index-contract.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { connectQdrant } from './client.ts'
import { ensureCollection } from './collection.ts'
import { qdrantContents } from './contents.ts'
import { qdrantKnownVectors } from './known-vectors.ts'
import { qdrantSearch } from './search.ts'
import { qdrantIndex } from './vector-index.ts'

vectorIndexContract('Qdrant', async (space, dimensions) => {
  const qdrant = connectQdrant({ url: addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant })
  const spec = { collection: `contract_${randomUUID()}`, space, dimensions }
  await ensureCollection(qdrant, spec)
  return {
    index: qdrantIndex(qdrant, spec),
    known: qdrantKnownVectors(qdrant, spec, (error) => {
      throw error
    }),
    contents: qdrantContents(qdrant, spec),
    count: async () => (await qdrantSearch(qdrant, spec).count()).chunks,
    async close() {
      await qdrant.collections.delete({ collectionName: spec.collection })
    },
  }
})
