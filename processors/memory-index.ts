import { crc32 } from 'node:zlib'
import type { DocumentVectors } from '../schemas/records.ts'
import { StartOver } from '../streams/errors.ts'
import { tenantOf } from './document-key.ts'
import { compareFences, type Fence, fenceText } from './fence.ts'
import { bucketOf, type ChunkPayload, type ChunkPoint, type IndexContents, type Slice } from './index-contents.ts'
import type { KnownVectors, LeftChunks, Manifest, Marker, VectorIndex, Write } from './vector-index.ts'

/** A chunk as the index in memory holds it. */
export interface StoredChunk extends ChunkPayload {
  readonly partition: number
  readonly space: string
  readonly vector: Buffer
  readonly termIndices: Buffer
  readonly termValues: Buffer
}

/** The index without Qdrant: for tests and simulations. It passes the same contract as `connectors/qdrant`. */
export interface MemoryIndex extends VectorIndex, KnownVectors {
  /** The elements of a request, each applied by a call, in order: what a crash may come between. */
  applySteps(writes: readonly Write[]): readonly (() => void)[]
  settleSteps(left: readonly LeftChunks[], marker: Marker, expected: Marker | null): readonly (() => void)[]
  /** What a search may show: chunks whose fence is their manifest's content fence. */
  served(): readonly StoredChunk[]
  readonly chunks: ReadonlyMap<string, StoredChunk>
  readonly present: ReadonlyMap<string, Manifest>
  readonly markers: ReadonlyMap<number, Marker>
  readonly contents: IndexContents
  /** All that it holds, to be put back later: an older copy. */
  copy(): Copy
  restore(copy: Copy): void
}

export interface Copy {
  /** By place; a chunk whose key is empty has lost its payload. */
  readonly chunks: readonly (readonly [string, StoredChunk])[]
  readonly manifests: readonly (readonly [string, Manifest])[]
  readonly markers: readonly (readonly [number, Marker])[]
}

export function memoryIndex({
  collection = 'test',
  space = 'es_test',
}: {
  collection?: string
  space?: string
} = {}): MemoryIndex {
  const chunks = new Map<string, StoredChunk>()
  const manifests = new Map<string, Manifest>()
  const markers = new Map<number, Marker>()

  const writeChunks = ({ manifest, chunks: written }: Write): void => {
    if (written === null) return
    for (const [ordinal, chunk] of storedChunks(manifest, written).entries())
      chunks.set(chunkPlace(manifest.key, manifest.content!, ordinal), chunk)
  }
  const compareAndSet = ({ expected, manifest }: Write): void => {
    const present = manifests.get(manifest.key)
    const isAsRead =
      expected === null ? present === undefined : present !== undefined && compareFences(present.fence, expected) === 0
    if (isAsRead) manifests.set(manifest.key, manifest)
  }
  const removeChunks = ({ key, fence, count }: LeftChunks): void => {
    for (let ordinal = 0; ordinal < count; ordinal++) chunks.delete(chunkPlace(key, fence, ordinal))
  }
  const applySteps = (writes: readonly Write[]) => [
    ...writes.filter(({ chunks }) => chunks !== null).map((write) => () => writeChunks(write)),
    ...writes.map((write) => () => compareAndSet(write)),
  ]
  const compareAndSetMarker = (marker: Marker, expected: Marker | null): void => {
    const { applied, at, written } = markers.get(marker.partition) ?? {}
    if (applied === expected?.applied && at === expected?.at && written === expected?.written)
      markers.set(marker.partition, marker)
  }
  const settleSteps = (left: readonly LeftChunks[], marker: Marker, expected: Marker | null) => [
    ...left.map((each) => () => removeChunks(each)),
    () => compareAndSetMarker(marker, expected),
  ]

  return {
    collection,
    space,
    chunks,
    present: manifests,
    markers,
    contents: contentsOf({ collection, space, chunks, manifests, markers }),
    applySteps,
    settleSteps,
    async read(keys, partition) {
      const present = keys.map((key) => manifests.get(key) ?? null)
      return { manifests: present, marker: markers.get(partition) ?? null, connection: CONNECTION }
    },
    async apply(writes, connection) {
      checkConnection(connection)
      for (const step of applySteps(writes)) step()
    },
    async settle(left, marker, expected, connection) {
      checkConnection(connection)
      for (const step of settleSteps(left, marker, expected)) step()
    },
    async manifests(keys) {
      return keys.map((key) => manifests.get(key) ?? null)
    },
    async vectors(present) {
      const known = new Map<string, Buffer>()
      for (const { key, content, chunks: count } of present) {
        for (let ordinal = 0; content !== null && ordinal < count; ordinal++) {
          const chunk = chunks.get(chunkPlace(key, content, ordinal))
          if (chunk !== undefined && crc32(chunk.vector) === chunk.checksum) known.set(chunk.hash, chunk.vector)
        }
      }
      return known
    },
    served() {
      return [...chunks.values()].filter(({ key, fence }) => {
        const manifest = manifests.get(key)
        return manifest?.content != null && !manifest.deleted && fenceText(manifest.content) === fence
      })
    },
    copy: () => ({ chunks: [...chunks], manifests: [...manifests], markers: [...markers] }),
    restore(copy) {
      for (const map of [chunks, manifests, markers]) map.clear()
      for (const [key, chunk] of copy.chunks) chunks.set(key, chunk)
      for (const [key, manifest] of copy.manifests) manifests.set(key, manifest)
      for (const [partition, marker] of copy.markers) markers.set(partition, marker)
    },
  }
}

/** There is nothing to connect to: whoever reads and writes it does so over this one. */
const CONNECTION = 0

function checkConnection(connection: number): void {
  if (connection !== CONNECTION) throw new StartOver(`connection ${connection} is not there any more`)
}

export const chunkPlace = (key: string, fence: Fence | string, ordinal: number): string =>
  `${key}\n${typeof fence === 'string' ? fence : fenceText(fence)}\n${ordinal}`

function storedChunks({ key, partition, content }: Manifest, written: DocumentVectors): StoredChunk[] {
  const { space, title, url, attributes, acl } = written
  return written.chunks.map((chunk, ordinal) => ({
    ...chunk,
    tenant: tenantOf(key),
    key,
    partition,
    space,
    fence: fenceText(content!),
    offset: content!.offset,
    ordinal,
    title,
    url,
    attributes,
    acl,
    checksum: crc32(chunk.vector),
  }))
}

interface Stored {
  readonly collection: string
  readonly space: string
  readonly chunks: Map<string, StoredChunk>
  readonly manifests: Map<string, Manifest>
  readonly markers: Map<number, Marker>
}

function contentsOf({ collection, space, chunks, manifests, markers }: Stored): IndexContents {
  const pointOf = (id: string, chunk: StoredChunk): ChunkPoint => {
    const { partition: _, space: of, vector, termIndices, termValues, ...payload } = chunk
    return {
      id,
      placed: chunkPlace(chunk.key, chunk.fence, chunk.ordinal) === id,
      payload: chunk.key === '' ? null : payload,
      vectors: of === space ? { vector, termIndices, termValues } : null,
    }
  }
  const isIn =
    ({ partition, from, to }: Slice) =>
    (each: { key: string; partition: number }) =>
      each.key !== '' && each.partition === partition && bucketOf(each.key) >= from && bucketOf(each.key) < to
  return {
    collection,
    space,
    prepare: async () => 0,
    async count(partition) {
      const isOurs = (each: { partition: number }) => each.partition === partition
      return [...chunks.values()].filter(isOurs).length + [...manifests.values()].filter(isOurs).length
    },
    async marker(partition) {
      return markers.get(partition) ?? null
    },
    async *manifests(slice) {
      yield* pages([...manifests.values()].filter(isIn(slice)))
    },
    async *chunks(slice) {
      yield* pages([...chunks].filter(([, chunk]) => isIn(slice)(chunk)).map(([id, chunk]) => pointOf(id, chunk)))
    },
    async manifestsOf(keys) {
      return keys.map((key) => manifests.get(key) ?? null)
    },
    async chunksAt(places) {
      return places.map(({ key, fence, ordinal }) => {
        const id = chunkPlace(key, fence, ordinal)
        const chunk = chunks.get(id)
        return chunk === undefined ? null : pointOf(id, chunk)
      })
    },
    async chunksOf(keys) {
      return [...chunks].filter(([, { key }]) => keys.includes(key)).map(([id, chunk]) => pointOf(id, chunk))
    },
    async *strays() {
      yield* pages([...chunks].flatMap(([id, { key }]) => (key === '' ? [id] : [])))
    },
    async remove(ids) {
      for (const id of ids) chunks.delete(id)
    },
    async forget(read) {
      for (const { key, fence } of read) {
        const present = manifests.get(key)
        if (present !== undefined && compareFences(present.fence, fence) === 0) manifests.delete(key)
      }
    },
  }
}

function* pages<T>(all: readonly T[]): Generator<readonly T[]> {
  for (let first = 0; first < all.length; first += PAGE_POINTS) yield all.slice(first, first + PAGE_POINTS)
}

const PAGE_POINTS = 16
