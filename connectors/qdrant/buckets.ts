import type { MessageInitShape } from '@bufbuild/protobuf'
import { type FilterSchema, type PointsUpdateOperationSchema, UpdateStatus } from '@qdrant/js-client-grpc'
import { bucketOf, placeOf } from '../../processors/index-contents.ts'
import { StartOver } from '../../streams/errors.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import type { Qdrant } from './client.ts'
import { type IdInit, integer } from './points.ts'

/**
 * Chunks and manifests that were written before they had a bucket get it. It follows from the key, so nothing is lost when
 * the pipeline writes the same point at the same time; a point that is gone meanwhile is not made.
 */
export async function giveBuckets(qdrant: Qdrant, collectionName: string, partitions: number): Promise<number> {
  const filter: MessageInitShape<typeof FilterSchema> = {
    must: [
      { conditionOneOf: { case: 'isEmpty', value: { key: 'bucket' } } },
      {
        conditionOneOf: {
          case: 'field',
          value: {
            key: 'kind',
            match: { matchValue: { case: 'keywords', value: { strings: ['manifest', 'chunk'] } } },
          },
        },
      },
    ],
  }
  let given = 0
  for (;;) {
    const { result } = await qdrant.read('points without a bucket', (options) =>
      qdrant.points.scroll(
        {
          collectionName,
          filter,
          limit: PAGE_POINTS,
          withPayload: { selectorOptions: { case: 'include', value: { fields: ['key'] } } },
        },
        options,
      ),
    )
    if (result.length === 0) return given
    const idsByKey = Map.groupBy(result, ({ payload }) => String(payload.key?.kind.value))
    const operations = [...idsByKey].map(([key, points]) =>
      setBucket(
        points.map(({ id }) => id!),
        placeOf(partitionOf(key, partitions), bucketOf(key)),
      ),
    )
    const done = await qdrant.write('the writing of buckets', (options) =>
      qdrant.points.updateBatch({ collectionName, wait: true, operations }, options),
    )
    if (done.result.some(({ status }) => status !== UpdateStatus.Completed))
      throw new StartOver(`Qdrant did not complete the writing of buckets in ${collectionName}`)
    given += result.length
  }
}

const PAGE_POINTS = 256

const setBucket = (ids: IdInit[], place: number): MessageInitShape<typeof PointsUpdateOperationSchema> => ({
  operation: {
    case: 'setPayload',
    value: {
      payload: { bucket: integer(place) },
      pointsSelector: { pointsSelectorOneOf: { case: 'points', value: { ids } } },
    },
  },
})
