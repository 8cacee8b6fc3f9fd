import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { vectorIndexContract } from '../../processors/vector-index-contract.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { StartOver } from '../../streams/errors.ts'
import { tcpProxy } from '../../test/tcp-proxy.ts'
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

test('what was read before Qdrant was connected anew is no ground for a write', async (t) => {
  const { port, hostname } = new URL(addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant)
  const proxy = await tcpProxy(Number(port))
  const qdrant = connectQdrant({ url: `http://${hostname}:${proxy.port}` })
  const spec = { collection: `contract_${randomUUID()}`, space: 'es_contract', dimensions: 4 }
  await ensureCollection(qdrant, spec)
  t.after(async () => {
    await qdrant.collections.delete({ collectionName: spec.collection })
    await proxy.cut()
  })
  const index = qdrantIndex(qdrant, spec)
  const marker = { partition: 0, topicId: 't', applied: 7, epoch: 1, low: 3, at: 0, written: 1 }
  const before = await index.read([], 0)
  await proxy.cut()
  await proxy.heal()
  const after = await index.read([], 0)

  const outcome = index.settle([], marker, null, before.connection)

  await assert.rejects(outcome, StartOver)
  assert.notEqual(after.connection, before.connection)
  assert.equal((await index.read([], 0)).marker, null)
  await index.settle([], marker, null, after.connection)
  assert.deepEqual((await index.read([], 0)).marker, marker)
})
