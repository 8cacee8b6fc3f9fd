import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import type { Manifest } from '../../processors/vector-index.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { connectQdrant } from './client.ts'
import { ensureCollection } from './collection.ts'
import { qdrantContents } from './contents.ts'
import { manifestId } from './points.ts'
import { qdrantIndex } from './vector-index.ts'

const PARTITIONS = 3

test('points that were written before there were buckets get theirs, once', async () => {
  await using collection = await openCollection()
  const { contents, index, qdrant, name } = collection
  const manifests = Array.from({ length: 300 }, (_, i) => manifestOf(`acme/${i}`))
  await index.apply(
    manifests.map((manifest) => ({ expected: null, manifest, chunks: null })),
    (await index.read([], 0)).connection,
  )
  await qdrant.points.deletePayload({
    collectionName: name,
    wait: true,
    keys: ['bucket'],
    pointsSelector: { pointsSelectorOneOf: { case: 'filter', value: {} } },
  })
  const before = await contents.count(0)

  const given = [await contents.prepare(PARTITIONS), await contents.prepare(PARTITIONS)]

  const counts = await Promise.all([0, 1, 2].map((partition) => contents.count(partition)))
  assert.deepEqual([before, given], [0, [300, 0]])
  assert.equal(
    counts[0],
    manifests.filter(({ partition }) => partition === 0).length,
    'the bucket says another partition than the key',
  )
  assert.deepEqual(await contents.manifestsOf(['acme/7']), [manifests[7]])
})

test('a manifest that lost its payload is a stray, and is gone when it is read for writing, so that a new one can be', async () => {
  await using collection = await openCollection()
  const { contents, index, qdrant, name } = collection
  const [emptied, whole] = [manifestOf('acme/emptied'), manifestOf('acme/whole')]
  await index.apply(
    [emptied, whole].map((manifest) => ({ expected: null, manifest, chunks: null })),
    (await index.read([], 0)).connection,
  )
  await qdrant.points.clearPayload({
    collectionName: name,
    wait: true,
    points: { pointsSelectorOneOf: { case: 'points', value: { ids: [manifestId(emptied.key)] } } },
  })
  const strays = (await Array.fromAsync(contents.strays())).flat()

  const { manifests } = await index.read([emptied.key, whole.key], 0)
  await index.apply([{ expected: null, manifest: emptied, chunks: null }], (await index.read([], 0)).connection)

  assert.deepEqual(strays, [manifestId(emptied.key).pointIdOptions?.value])
  assert.deepEqual(manifests, [null, whole])
  assert.deepEqual(await contents.manifestsOf([emptied.key]), [emptied])
})

async function openCollection() {
  const qdrant = connectQdrant({ url: addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant })
  const spec = { collection: `contents_${randomUUID()}`, space: 'es_contents', dimensions: 4 }
  await ensureCollection(qdrant, spec)
  return {
    qdrant,
    name: spec.collection,
    index: qdrantIndex(qdrant, spec),
    contents: qdrantContents(qdrant, spec),
    async [Symbol.asyncDispose]() {
      await qdrant.collections.delete({ collectionName: spec.collection })
    },
  }
}

function manifestOf(key: string): Manifest {
  const fence = { epoch: 1, offset: 3, derivation: 0 }
  return {
    key,
    partition: partitionOf(key, PARTITIONS),
    fence,
    content: fence,
    deleted: false,
    rejected: null,
    chunks: 0,
    contentHash: 'h',
    pipeline: 'c1+d1',
    space: 'es_contents',
    checksum: 1,
    left: [],
  }
}
