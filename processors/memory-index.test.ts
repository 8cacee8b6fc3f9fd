import { memoryIndex } from './memory-index.ts'
import { vectorIndexContract } from './vector-index-contract.ts'

vectorIndexContract('the memory index', async (space) => {
  const index = memoryIndex({ space })
  return { index, known: index, contents: index.contents, count: async () => index.chunks.size, close: async () => {} }
})
