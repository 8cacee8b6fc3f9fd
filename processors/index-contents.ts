import { crc32 } from 'node:zlib'
import type { ContentChunk } from './content-checksum.ts'
import type { Fence } from './fence.ts'
import type { LeftChunks, Manifest, Marker } from './vector-index.ts'

/**
 * A port to everything that an index holds, for those who check it: all of one partition, slice by slice, so that memory is
 * bounded. Reads reject with `Retry` when the index is out of reach. `connectors/qdrant` has the real one.
 */
export interface IndexContents {
  readonly collection: string
  readonly space: string
  /** Gives points that were written before there were buckets theirs; resolves with how many. All else sees only points with a bucket. */
  prepare(partitions: number): Promise<number>
  /** Points of the partition, chunks and manifests. */
  count(partition: number): Promise<number>
  marker(partition: number): Promise<Marker | null>
  /** In pages. A point is in what it belongs to if it was there all the while; whether it is told when it came or went meanwhile is open. */
  manifests(slice: Slice): AsyncIterable<readonly Manifest[]>
  chunks(slice: Slice): AsyncIterable<readonly ChunkPoint[]>
  /** Present manifests, in the order of the keys. */
  manifestsOf(keys: readonly string[]): Promise<readonly (Manifest | null)[]>
  /** What lies where these chunks must lie, whatever it is, in order; null where nothing does. */
  chunksAt(places: readonly ChunkPlace[]): Promise<readonly (ChunkPoint | null)[]>
  /** Every chunk that says that it is of these documents. */
  chunksOf(keys: readonly string[]): Promise<readonly ChunkPoint[]>
  /** Points that do not say what they are, in pages of ids: their payload was lost. */
  strays(): AsyncIterable<readonly string[]>
  /** Deletes points by id. Only what nothing serves and nobody is writing. */
  remove(ids: readonly string[]): Promise<void>
  /** Removes entries, each only if its fence is as it was read. Only of documents that no log names any more, so that nothing older can come. */
  forget(manifests: readonly Manifest[]): Promise<void>
}

/** Documents of one partition: those in the buckets from `from` up to, not including, `to`. */
export interface Slice {
  readonly partition: number
  readonly from: number
  readonly to: number
}

export interface ChunkPlace {
  readonly key: string
  readonly fence: Fence
  readonly ordinal: number
}

/** A chunk as it lies in the index. */
export interface ChunkPoint {
  readonly id: string
  /** It lies where its key, fence and ordinal say. */
  readonly placed: boolean
  /** null: it says nothing, or not that it is a chunk. */
  readonly payload: ChunkPayload | null
  /** null: it has no vectors of this space. */
  readonly vectors: Pick<ContentChunk, 'vector' | 'termIndices' | 'termValues'> | null
}

export interface ChunkPayload extends Pick<ContentChunk, 'start' | 'end' | 'text' | 'hash'> {
  readonly tenant: string
  readonly key: string
  /** As text. */
  readonly fence: string
  readonly offset: number
  readonly ordinal: number
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Readonly<Record<string, unknown>>
  readonly acl: readonly string[] | null
  /** crc32 of the vector as it was written. */
  readonly checksum: number
}

/** The documents of a partition are in this many buckets, each of which can be read by itself. */
export const BUCKETS = 1_024

export const bucketOf = (key: string): number => crc32(key) % BUCKETS

/** One number for partition and bucket, so that one index of the store finds the documents of a slice. */
export const placeOf = (partition: number, bucket: number): number => partition * BUCKETS + bucket

/** The chunks that a manifest says are there. */
export const placesOf = ({ key, fence, count }: LeftChunks): ChunkPlace[] =>
  Array.from({ length: count }, (_, ordinal) => ({ key, fence, ordinal }))
