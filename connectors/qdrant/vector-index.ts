import type { MessageInitShape } from '@bufbuild/protobuf'
import { type PointsUpdateOperationSchema, UpdateMode, UpdateStatus } from '@qdrant/js-client-grpc'
import { fenceText } from '../../processors/fence.ts'
import type { IndexRead, Marker, VectorIndex, Write } from '../../processors/vector-index.ts'
import { StartOver } from '../../streams/errors.ts'
import type { Qdrant } from './client.ts'
import { type CollectionSpec, ensureCollection } from './collection.ts'
import { manifestsIn, payloadsOf } from './manifests.ts'
import { Missing } from './missing.ts'
import { chunkId, chunkPoints, idText, manifestId, manifestPoint, markerId, markerPoint, readMarker } from './points.ts'

type Operation = MessageInitShape<typeof PointsUpdateOperationSchema>

/** The index that `index-vectors` keeps, in one collection of Qdrant; it is made again when it is gone, as long as it is `wanted`. */
export function qdrantIndex(qdrant: Qdrant, spec: CollectionSpec, wanted = () => true): VectorIndex {
  const { collection, space } = spec

  const update = async (what: string, operations: Operation[], connection: number): Promise<void> => {
    if (operations.length === 0) return
    const { result } = await qdrant.write(
      what,
      (options) => qdrant.points.updateBatch({ collectionName: collection, wait: true, operations }, options),
      connection,
    )
    // A plain loop with a status per operation, not a transaction: only all `completed` is success.
    const completed = result.filter(({ status }) => status === UpdateStatus.Completed).length
    if (completed !== operations.length)
      throw new StartOver(
        `Qdrant completed ${completed} of ${operations.length} operations of ${what} in ${collection}`,
      )
  }

  return {
    collection,
    space,
    read: (keys, partition) => readPoints(qdrant, spec, keys, partition, wanted),
    async apply(writes, connection) {
      const chunks = writes.flatMap(({ manifest, chunks }) => (chunks === null ? [] : chunkPoints(manifest, chunks)))
      const operations: Operation[] =
        chunks.length === 0 ? [] : [{ operation: { case: 'upsert', value: { points: chunks } } }]
      await update('the write of chunks and manifests', [...operations, ...writes.map(compareAndSet)], connection)
    },
    async settle(left, marker, expected, connection) {
      const ids = left.flatMap(({ key, fence, count }) =>
        Array.from({ length: count }, (_, ordinal) => chunkId(key, fence, ordinal)),
      )
      const deletion: Operation[] =
        ids.length === 0
          ? []
          : [
              {
                operation: {
                  case: 'deletePoints',
                  value: { points: { pointsSelectorOneOf: { case: 'points', value: { ids } } } },
                },
              },
            ]
      await update('the write of the marker', [...deletion, compareAndSetMarker(marker, expected)], connection)
    },
  }
}

/** Writes nothing unless the manifest is as it was read: `update_only` with its fence, `insert_only` where there was none. */
function compareAndSet({ expected, manifest }: Write): Operation {
  const points = [manifestPoint(manifest)]
  if (expected === null) return { operation: { case: 'upsert', value: { points, updateMode: UpdateMode.InsertOnly } } }
  const isAsRead = {
    conditionOneOf: {
      case: 'field' as const,
      value: { key: 'fence', match: { matchValue: { case: 'keyword' as const, value: fenceText(expected) } } },
    },
  }
  return {
    operation: {
      case: 'upsert',
      value: { points, updateMode: UpdateMode.UpdateOnly, updateFilter: { must: [isAsRead] } },
    },
  }
}

/** As for manifests: a marker that is not the one that was read is another owner's, or of an older copy of the index. */
function compareAndSetMarker(marker: Marker, expected: Marker | null): Operation {
  const points = [markerPoint(marker)]
  if (expected === null) return { operation: { case: 'upsert', value: { points, updateMode: UpdateMode.InsertOnly } } }
  const asRead = expected.written === 0 ? (['applied', 'at'] as const) : (['applied', 'at', 'written'] as const)
  const isAsRead = asRead.map((key) => ({
    conditionOneOf: {
      case: 'field' as const,
      value: { key, match: { matchValue: { case: 'integer' as const, value: BigInt(expected[key]) } } },
    },
  }))
  return {
    operation: {
      case: 'upsert',
      value: { points, updateMode: UpdateMode.UpdateOnly, updateFilter: { must: isAsRead } },
    },
  }
}

async function readPoints(
  qdrant: Qdrant,
  spec: CollectionSpec,
  keys: readonly string[],
  partition: number,
  wanted: () => boolean,
): Promise<IndexRead> {
  const ids = [markerId(partition), ...keys.map(manifestId)]
  const get = () =>
    qdrant.readOver('manifests and marker', (options) => payloadsOf(qdrant, spec.collection, ids, options))
  const { answer: payloads, connection } = await get().catch(async (error) => {
    if (!(error instanceof Missing) || !wanted()) throw error
    // The folder was replaced by an empty one: begin with an empty collection, which the log fills again.
    await ensureCollection(qdrant, spec)
    return get()
  })
  const marker = payloads.get(idText(markerId(partition)))
  const manifests = manifestsIn(payloads, keys)
  const emptied = keys.filter((key, i) => manifests[i] === null && payloads.has(idText(manifestId(key))))
  if (emptied.length > 0) await removeEmptied(qdrant, spec, emptied)
  return { marker: marker === undefined ? null : readMarker(marker), manifests, connection }
}

/** Points without their payload where manifests must be: as long as they are there, no manifest can be inserted. */
async function removeEmptied(
  { points, write }: Qdrant,
  { collection }: CollectionSpec,
  keys: readonly string[],
): Promise<void> {
  const filter = {
    must: [
      { conditionOneOf: { case: 'hasId' as const, value: { hasId: keys.map(manifestId) } } },
      { conditionOneOf: { case: 'isEmpty' as const, value: { key: 'fence' } } },
    ],
  }
  await write('the removal of empty manifests', (options) =>
    points.delete(
      {
        collectionName: collection,
        wait: true,
        points: { pointsSelectorOneOf: { case: 'filter', value: filter } },
      },
      options,
    ),
  )
}
