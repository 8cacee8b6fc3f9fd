import { hash as hashOf } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { PointIdSchema, PointStructSchema, Value, ValueSchema } from '@qdrant/js-client-grpc'
import { tenantOf } from '../../processors/document-key.ts'
import { type Fence, fenceText, parseFence } from '../../processors/fence.ts'
import { BUCKETS, bucketOf, type ChunkPayload, placeOf } from '../../processors/index-contents.ts'
import type { Manifest, Marker } from '../../processors/vector-index.ts'
import type { DocumentVectors } from '../../schemas/records.ts'
import { FIRST_EPOCH } from '../../streams/low.ts'

/** The three kinds of point of a collection, and their ids, as Qdrant's messages. */

export type PointInit = MessageInitShape<typeof PointStructSchema>
export type IdInit = MessageInitShape<typeof PointIdSchema>
type ValueInit = MessageInitShape<typeof ValueSchema>

/** UUIDv5 (RFC 9562) in a namespace of our own: the same name gives the same point, so that a replay overwrites. */
function pointId(name: string): IdInit {
  const hash = hashOf('sha1', Buffer.concat([NAMESPACE, Buffer.from(name)]), 'buffer')
  hash[6] = (hash[6]! & 0x0f) | 0x50
  hash[8] = (hash[8]! & 0x3f) | 0x80
  const hex = hash.toString('hex', 0, 16)
  const uuid = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  return { pointIdOptions: { case: 'uuid', value: uuid } }
}

/** Arbitrary, and fixed for ever. */
const NAMESPACE = Buffer.from('9f2d8c0d3c0b5e5f8a6e1d0c4b7a2f91', 'hex')

export const manifestId = (key: string): IdInit => pointId(`manifest\n${key}`)
export const chunkId = (key: string, fence: Fence, ordinal: number): IdInit =>
  pointId(`chunk\n${key}\n${fenceText(fence)}\n${ordinal}`)
export const markerId = (partition: number): IdInit => pointId(`marker\n${partition}`)

export const idText = ({
  pointIdOptions,
}: {
  pointIdOptions?: { case?: string | undefined; value?: unknown }
}): string => String(pointIdOptions?.value)

export function chunkPoints(
  { key, partition }: Pick<Manifest, 'key' | 'partition'>,
  { epoch, offset, derivation, space, title, url, attributes, acl, chunks }: DocumentVectors,
): PointInit[] {
  const fence = { epoch, offset, derivation }
  const shared: Record<string, ValueInit> = {
    kind: text('chunk'),
    tenant: text(tenantOf(key)),
    key: text(key),
    bucket: integer(placeOf(partition, bucketOf(key))),
    fence: text(fenceText(fence)),
    offset: integer(offset),
    title: title === null ? nothing : text(title),
    url: url === null ? nothing : text(url),
    attributes: value(attributes),
    ...(acl !== null && { acl: value(acl) }),
  }
  return chunks.map(({ start, end, text: chunkText, hash, vector, termIndices, termValues }, ordinal) => ({
    id: chunkId(key, fence, ordinal),
    vectors: {
      vectorsOptions: {
        case: 'vectors',
        value: {
          vectors: {
            [denseName(space)]: { vector: { case: 'dense', value: { data: Array.from(floatsOf(vector)) } } },
            [sparseName(space)]: {
              vector: {
                case: 'sparse',
                value: { indices: Array.from(wordsOf(termIndices)), values: Array.from(floatsOf(termValues)) },
              },
            },
          },
        },
      },
    },
    payload: {
      ...shared,
      ordinal: integer(ordinal),
      start: integer(start),
      end: integer(end),
      text: text(chunkText),
      hash: text(hash),
      checksum: integer(crc32(vector)),
    },
  }))
}

/** Vectors are called after their space, so that Qdrant itself refuses a mix. */
export const denseName = (space: string): string => `${space}_dense`
export const sparseName = (space: string): string => `${space}_terms`

export function readChunk(payload: Record<string, Value>): ChunkPayload | null {
  const { kind, tenant, key, fence, offset, ordinal, start, end, text, hash, checksum, title, url, attributes, acl } =
    readPayload(payload)
  if (kind !== 'chunk' || typeof key !== 'string') return null
  return {
    tenant: String(tenant),
    key,
    fence: String(fence),
    offset: Number(offset),
    ordinal: Number(ordinal),
    start: Number(start),
    end: Number(end),
    text: String(text),
    hash: String(hash),
    title: typeof title === 'string' ? title : null,
    url: typeof url === 'string' ? url : null,
    attributes: (attributes ?? {}) as Record<string, unknown>,
    acl: (acl ?? null) as string[] | null,
    checksum: Number(checksum),
  }
}

export function manifestPoint({
  key,
  partition,
  fence,
  content,
  deleted,
  rejected,
  chunks,
  contentHash,
  pipeline,
  space,
  checksum,
  left,
}: Manifest): PointInit {
  return {
    id: manifestId(key),
    vectors: NO_VECTORS,
    payload: {
      kind: text('manifest'),
      tenant: text(tenantOf(key)),
      key: text(key),
      bucket: integer(placeOf(partition, bucketOf(key))),
      fence: text(fenceText(fence)),
      content: text(content === null ? '' : fenceText(content)),
      deleted: { kind: { case: 'boolValue', value: deleted } },
      rejected: rejected === null ? nothing : text(rejected),
      chunks: integer(chunks),
      contentHash: text(contentHash),
      pipeline: text(pipeline),
      space: text(space),
      checksum: checksum === null ? nothing : integer(checksum),
      left: text(left.map(({ fence: each, count }) => `${fenceText(each)}*${count}`).join(' ')),
    },
  }
}

/** null: it has lost its payload, and is no manifest. */
export function readManifest(payload: Record<string, Value>): Manifest | null {
  const fields = readPayload(payload)
  const { key, bucket, fence, content, deleted, rejected, chunks, contentHash, pipeline, left } = fields
  const parsed = parseFence(String(fence))
  if (parsed === null || typeof key !== 'string') return null
  return {
    key,
    partition: bucket === undefined ? -1 : Math.floor(Number(bucket) / BUCKETS),
    fence: parsed,
    content: parseFence(String(content)),
    deleted: deleted === true,
    rejected: typeof rejected === 'string' ? rejected : null,
    chunks: Number(chunks),
    contentHash: String(contentHash),
    pipeline: String(pipeline),
    space: String(fields.space ?? ''),
    checksum: typeof fields.checksum === 'number' ? fields.checksum : null,
    left: readLeft(left),
  }
}

function readLeft(left: unknown): Manifest['left'] {
  if (typeof left !== 'string' || left === '') return []
  return left.split(' ').map((each) => {
    const [fence = '', count] = each.split('*')
    return { fence: parseFence(fence)!, count: Number(count) }
  })
}

export function markerPoint({ partition, topicId, applied, epoch, low, at, written }: Marker): PointInit {
  const payload = {
    topicId: text(topicId),
    kind: text('marker'),
    partition: integer(partition),
    applied: integer(applied),
    epoch: integer(epoch),
    low: integer(low),
    at: integer(at),
    written: integer(written),
  }
  return { id: markerId(partition), vectors: NO_VECTORS, payload }
}

export function readMarker(payload: Record<string, Value>): Marker {
  const { partition, topicId, applied, epoch, low, at, written } = readPayload(payload)
  return {
    partition: Number(partition),
    topicId: String(topicId),
    applied: Number(applied),
    // Written before there was a second one.
    epoch: Number(epoch ?? FIRST_EPOCH),
    low: Number(low),
    at: Number(at),
    written: Number(written ?? 0),
  }
}

const NO_VECTORS = { vectorsOptions: { case: 'vectors' as const, value: { vectors: {} } } }

const nothing: ValueInit = { kind: { case: 'nullValue', value: 0 } }
const text = (value: string): ValueInit => ({ kind: { case: 'stringValue', value } })
export const integer = (value: number): ValueInit => ({ kind: { case: 'integerValue', value: BigInt(value) } })

/** Numbers are doubles, as in Avro, so that a filter compares like with like. */
export function value(json: unknown): ValueInit {
  if (json === null || json === undefined) return nothing
  if (typeof json === 'string') return text(json)
  if (typeof json === 'boolean') return { kind: { case: 'boolValue', value: json } }
  if (typeof json === 'number') return { kind: { case: 'doubleValue', value: json } }
  if (Array.isArray(json)) return { kind: { case: 'listValue', value: { values: json.map(value) } } }
  const fields = Object.fromEntries(Object.entries(json).map(([name, each]) => [name, value(each)]))
  return { kind: { case: 'structValue', value: { fields } } }
}

export function readPayload(payload: Record<string, Value>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).map(([name, each]) => [name, readValue(each)]))
}

function readValue({ kind }: Value): unknown {
  switch (kind.case) {
    case 'integerValue':
      return Number(kind.value)
    case 'listValue':
      return kind.value.values.map(readValue)
    case 'structValue':
      return readPayload(kind.value.fields)
    case 'nullValue':
    case undefined:
      return null
    default:
      return kind.value
  }
}

/** Typed views need alignment, which a slice of a record does not have. */
export const floatsOf = (bytes: Buffer): Float32Array => new Float32Array(new Uint8Array(bytes).buffer)
export const wordsOf = (bytes: Buffer): Uint32Array => new Uint32Array(new Uint8Array(bytes).buffer)
