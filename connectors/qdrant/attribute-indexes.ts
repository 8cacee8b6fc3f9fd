import { FieldType, PayloadSchemaType } from '@qdrant/js-client-grpc'
import type { AttributeType, DeclaredAttributes } from '../../search/attributes.ts'
import type { Qdrant } from './client.ts'
import { attributePath } from './filter.ts'

/** What a collection has indexed under `attributes`, by path. */
export type IndexedPaths = ReadonlyMap<string, PayloadSchemaType>

/** Numbers are stored as doubles, which an index of integers does not hold. */
const indexTypes: Readonly<Record<AttributeType, readonly [FieldType, PayloadSchemaType]>> = {
  keyword: [FieldType.FieldTypeKeyword, PayloadSchemaType.Keyword],
  integer: [FieldType.FieldTypeFloat, PayloadSchemaType.Float],
  number: [FieldType.FieldTypeFloat, PayloadSchemaType.Float],
  boolean: [FieldType.FieldTypeBool, PayloadSchemaType.Bool],
  datetime: [FieldType.FieldTypeDatetime, PayloadSchemaType.Datetime],
}

export async function indexedPaths({ collections, read }: Qdrant, collection: string): Promise<IndexedPaths> {
  const { result } = await read('collection info', (options) =>
    collections.get({ collectionName: collection }, options),
  )
  const all = Object.entries(result?.payloadSchema ?? {}).map(([path, { dataType }]) => [path, dataType] as const)
  return new Map(all.filter(([path]) => path.startsWith(ATTRIBUTES)))
}

const ATTRIBUTES = 'attributes.'

/** Paths whose index serves nothing that is declared: of an attribute that is not, or of another type. */
export function needless(indexed: IndexedPaths, declared: DeclaredAttributes): string[] {
  const wanted = new Map([...declared].map(([name, type]) => [attributePath(name), indexTypes[type][1]]))
  return [...indexed].filter(([path, type]) => wanted.get(path) !== type).map(([path]) => path)
}

/** Declared attributes that have no index. */
export function unindexed(indexed: IndexedPaths, declared: DeclaredAttributes): string[] {
  return [...declared.keys()].filter((name) => !indexed.has(attributePath(name)))
}

/** Resolves when it is built. Asked for again, it resolves when the one is there that was asked for before. */
export async function makeIndex(
  { points, read }: Qdrant,
  collection: string,
  [name, type]: readonly [string, AttributeType],
  signal?: AbortSignal,
): Promise<void> {
  const fieldName = attributePath(name)
  const [fieldType] = indexTypes[type]
  await read(`index ${fieldName}`, (options) =>
    points.createFieldIndex(
      { collectionName: collection, wait: true, fieldName, fieldType },
      { ...options, timeoutMs: BUILD_MS_MAX, ...(signal && { signal }) },
    ),
  )
}

/** How long one request waits for an index. One that takes longer is waited for by the next. */
const BUILD_MS_MAX = 10 * 60_000

export async function dropIndex({ points, read }: Qdrant, collection: string, path: string): Promise<void> {
  await read(`the removal of index ${path}`, (options) =>
    points.deleteFieldIndex({ collectionName: collection, wait: true, fieldName: path }, options),
  )
}
