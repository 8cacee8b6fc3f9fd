import { Distance, FieldType, Modifier } from '@qdrant/js-client-grpc'
import { Fatal, Reject } from '../../streams/errors.ts'
import type { Qdrant } from './client.ts'
import { Missing } from './missing.ts'
import { denseName, sparseName } from './points.ts'

export interface CollectionSpec {
  readonly collection: string
  readonly space: string
  readonly dimensions: number
}

/** Creates the collection of a space if it is not there; throws `Fatal` if another one has its name. */
export async function ensureCollection(
  { collections, points, read }: Qdrant,
  { collection, space, dimensions }: CollectionSpec,
): Promise<void> {
  const { result } = await read('collectionExists', (options) =>
    collections.collectionExists({ collectionName: collection }, options),
  )
  if (result?.exists !== true) {
    try {
      await read('create collection', (options) =>
        collections.create(
          {
            collectionName: collection,
            vectorsConfig: {
              config: {
                case: 'paramsMap',
                value: { map: { [denseName(space)]: { size: BigInt(dimensions), distance: Distance.Dot } } },
              },
            },
            sparseVectorsConfig: { map: { [sparseName(space)]: { modifier: Modifier.Idf } } },
          },
          options,
        ),
      )
    } catch (error) {
      // Another process was faster; what it made is checked below.
      if (!(error instanceof Reject) && !/exists/i.test(String((error as Error).cause))) throw error
    }
  }
  const info = await read('collection info', (options) => collections.get({ collectionName: collection }, options))
  const vectors = info.result?.config?.params?.vectorsConfig?.config
  const dense = vectors?.case === 'paramsMap' ? vectors.value.map[denseName(space)] : undefined
  if (Number(dense?.size ?? 0) !== dimensions || dense?.distance !== Distance.Dot) {
    throw new Fatal(
      `the collection ${collection} exists and does not hold vectors of ${space} (${dimensions} dimensions, Dot); delete it or set another name`,
    )
  }
  const keyword = (params: { isTenant?: boolean }) => ({ case: 'keywordIndexParams' as const, value: params })
  const fields = {
    tenant: { fieldType: FieldType.FieldTypeKeyword, indexParams: keyword({ isTenant: true }) },
    acl: { fieldType: FieldType.FieldTypeKeyword, indexParams: keyword({}) },
    key: { fieldType: FieldType.FieldTypeKeyword, indexParams: keyword({}) },
    kind: { fieldType: FieldType.FieldTypeKeyword, indexParams: keyword({}) },
    bucket: {
      fieldType: FieldType.FieldTypeInteger,
      indexParams: { case: 'integerIndexParams' as const, value: { lookup: true, range: true } },
    },
  }
  for (const [fieldName, { fieldType, indexParams }] of Object.entries(fields)) {
    if (info.result?.payloadSchema[fieldName] !== undefined) continue
    await read(`index ${fieldName}`, (options) =>
      points.createFieldIndex(
        {
          collectionName: collection,
          wait: true,
          fieldName,
          fieldType,
          fieldIndexParams: { indexParams },
        },
        options,
      ),
    )
  }
}

/** The space that a collection holds, as its vectors are called. Rejects with `Reject` where there is no collection of ours. */
export async function spaceOf(
  { collections, read }: Qdrant,
  collection: string,
): Promise<{ readonly id: string; readonly dimensions: number }> {
  const info = await read('collection info', (options) =>
    collections.get({ collectionName: collection }, options),
  ).catch((error) => {
    if (error instanceof Missing) throw new Reject(`collection: there is no ${collection || 'collection yet'}`)
    throw error
  })
  const vectors = info.result?.config?.params?.vectorsConfig?.config
  for (const [name, { size }] of vectors?.case === 'paramsMap' ? Object.entries(vectors.value.map) : []) {
    const id = name.slice(0, -denseName('').length)
    if (name === denseName(id)) return { id, dimensions: Number(size) }
  }
  throw new Reject(`collection: ${collection} is none of Freshet's, which have vectors called after their space`)
}
