import type { DocumentVectors } from '../schemas/records.ts'
import type { Low } from '../streams/low.ts'
import type { Compared } from '../streams/processor.ts'
import type { Fence } from './fence.ts'

/** The ports to the index: what the processors need of it. `connectors/qdrant` has the real one. */
export interface VectorIndex {
  readonly collection: string
  readonly space: string
  /** Present manifests, in the order of the keys, and the partition's marker. Rejects with `Retry` when out of reach. */
  read(keys: readonly string[], partition: number): Promise<IndexRead>
  /**
   * Writes the new chunks, then each manifest by compare-and-set, in one request. A refused compare-and-set is not an
   * error: read again to see it. Rejects with `StartOver` whenever it is not certain that every element completed, and without
   * having sent anything where the connection is not the one of the read that this rests on.
   */
  apply(writes: readonly Write[], connection: number): Promise<void>
  /**
   * Deletes chunks by id, then writes the marker by compare-and-set with the one that was read (null: there was none), refused
   * without an error as manifests are. Rejects with `StartOver` as `apply` does.
   */
  settle(left: readonly LeftChunks[], marker: Marker, expected: Marker | null, connection: number): Promise<void>
}

export interface IndexRead {
  readonly manifests: readonly (Manifest | null)[]
  readonly marker: Marker | null
  /** Which connection it came over. An index that is replaced by a copy breaks its connections: what comes over one is of one index. */
  readonly connection: number
}

/** A document's entry in the index. */
export interface Manifest {
  readonly key: string
  /** Where its records lie; -1 in a manifest that was made before this was kept. */
  readonly partition: number
  /** Always advances. */
  readonly fence: Fence
  /** What its chunks carry; null when it has none. */
  readonly content: Fence | null
  readonly deleted: boolean
  /** Why this revision was rejected; null if it was not. */
  readonly rejected: string | null
  readonly chunks: number
  readonly contentHash: string
  readonly pipeline: string
  /** The embedding space of its chunks; empty where there are none, and in a manifest that was made before this was kept. */
  readonly space: string
  /** Of everything in its chunks, as they were written (`content-checksum.ts`); null where `space` is empty. */
  readonly checksum: number | null
  /** The chunks that this revision took the place of. Until its record is settled they may still be there. */
  readonly left: readonly { readonly fence: Fence; readonly count: number }[]
}

/** How far a partition is applied. */
export interface Marker {
  readonly partition: number
  /** Kafka's id of the `vectors` topic that `applied` counts in. */
  readonly topicId: string
  /** Every offset of `vectors` up to this, inclusive, is applied. */
  readonly applied: number
  /** Of `documents`, that `low` counts in; 0 before the first. */
  readonly epoch: number
  /** Every position in `documents` up to this, inclusive, is in the index. */
  readonly low: number
  /** Everything that was written to `vectors` before this is applied, ms since 1970. */
  readonly at: number
  /** When it was written, ms since 1970, and later than the one that it took the place of: says which of two that are else alike. 0 in one that was made before this was kept. */
  readonly written: number
}

export interface Write {
  /** The fence that was read; null: there was no manifest. */
  readonly expected: Fence | null
  readonly manifest: Manifest
  /** The chunks to write under `manifest.content`; null when those that are there stay. */
  readonly chunks: DocumentVectors | null
}

/** Chunks 0 … count-1 that a document had under this fence. */
export interface LeftChunks {
  readonly key: string
  readonly fence: Fence
  readonly count: number
}

/**
 * Compares a partition of `documents` with the index, has derived again what is missing or older there and deleted what
 * `documents` does not have, and resolves when that is applied, with the watermark that the index then has.
 */
export type Compare = (compared: ToCompare) => Promise<Low>

export interface ToCompare extends Compared {
  /** Another stage hands on what is compared, and may have handed on more than it has put on record. */
  readonly follows?: boolean
}

/** What the embed stage asks the index, so as not to embed unchanged text again. */
export interface KnownVectors {
  /** Fences of the present manifests, in the order of the keys. Never rejects: out of reach is the same as nothing known. */
  manifests(keys: readonly string[]): Promise<readonly (Manifest | null)[]>
  /** Vectors of the documents' present chunks, by text hash, float32 little endian; only those whose checksum holds. */
  vectors(manifests: readonly Manifest[]): Promise<ReadonlyMap<string, Buffer>>
}
