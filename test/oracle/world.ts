import type { Engine } from '../../engine/embedder.ts'
import type { RawDocument } from '../../processors/clean-text.ts'
import type { Document, Progress, Receipt } from '../../schemas/records.ts'
import type { PartitionOffsets, StoredRecord } from '../../streams/broker.ts'
import type { DeadLetter } from '../../streams/dead-letters.ts'
import type { RejectClass } from '../../streams/processor.ts'
import type { Point } from '../index-points.ts'
import type { Answer } from './answers.ts'
import type { ResourceSample } from './resources.ts'

/** All that the oracle looks at, as values: what the producers know, what the platform made of it, what its readers saw. */
export interface World {
  readonly engine: Engine
  readonly partitions: number
  readonly collection: string
  /** Those that served before it: receipts are of whichever served at the time. */
  readonly formerCollections?: readonly string[]
  /** The producers' own log: the one thing that is taken for true. In the order of sending. */
  readonly sent: readonly Sent[]
  readonly documents: Log
  readonly inbox: Log
  readonly points: readonly Point[]
  readonly receipts: readonly Receipt[]
  readonly deadLetters: readonly DeadLetter[]
  /** In the order of the topic. */
  readonly progress: readonly Progress[]
  /** What readers were answered, in the order of each. */
  readonly answers: readonly Answer[]
  readonly resources: readonly ResourceSample[]
  /** Times (ms since 1970) in which the index was set back to an older copy, until it was `complete` again. */
  readonly restores: readonly { readonly fromMs: number; readonly toMs: number }[]
  /**
   * Places in `documents`, as partition/offset, of what was removed from `vectors` before it was indexed. One that has a later
   * revision is never seen again: it has no receipt.
   */
  readonly removed?: ReadonlySet<string>
  /** What lay in `documents` and is not there any more: compaction took it. */
  readonly compacted?: readonly Compacted[]
  /** Vectors equal to the byte, where the same machine made them; else at least this near. */
  readonly cosineMin?: number
}

export interface Compacted extends Stored {
  /** It went before any stage had seen it, and leads to nothing. */
  readonly unseen: boolean
}

export interface Log {
  /** Kafka's name of the topic, prefix and all. */
  readonly topic: string
  readonly ends: readonly PartitionOffsets[]
  readonly records: readonly Stored[]
}

export interface Stored extends Pick<StoredRecord, 'partition' | 'offset' | 'key' | 'value' | 'headers'> {
  /** The value as a document; null for a deletion, undefined where nobody can read it, and where it is of no interest. */
  readonly document: Document | null | undefined
}

/** One record as its producer knows it. A key comes by one door only, so that its own records have an order. */
export interface Sent {
  readonly door: 'inbox' | 'documents'
  readonly partition: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly meant: Meant
  /** Where Kafka acknowledged it; null: the send failed, and the record may be there or not. */
  readonly offset: number | null
  /** Of its header `sent`, by which a record in doubt is found again. */
  readonly mark: string
}

export type Meant =
  | { readonly kind: 'document'; readonly document: RawDocument | Document }
  | { readonly kind: 'deletion' }
  | { readonly kind: 'poison'; readonly class: RejectClass }

export const invariants = ['I1', 'I2', 'I3', 'I4', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10'] as const
export type Invariant = (typeof invariants)[number]

export interface Finding {
  /** `row`: what a fault's own row promises. */
  readonly invariant: Invariant | 'row'
  readonly what: string
}

/** What a check found, and how many things it compared: a check that compared nothing has shown nothing. */
export interface Checked {
  readonly findings: readonly Finding[]
  readonly compared: Partial<Record<Invariant, number>>
}
