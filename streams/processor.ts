import type { Position, StoredRecord } from './broker.ts'
import type { Hold, Part } from './holding.ts'
import type { Low } from './low.ts'
import type { Place } from './start.ts'
import type { Topic } from './topic.ts'

/**
 * A stage, declared: from, to, bounds, function. It knows no Kafka and does no I/O of its own: what it needs of the world
 * is in `Ports`, given by whoever runs it. `topology.ts` checks declarations, `runner.ts` runs them.
 */
export interface Processor<Ports = never> {
  /** verb-topic, the same in code, metrics, logs, consumer groups and docs. */
  readonly name: string
  /** The first is the one whose watermark is carried on. */
  readonly from: readonly Topic[]
  readonly to: readonly Topic[]
  /** Bounds of one batch. A single record above `bytesMax` makes a batch of its own. */
  readonly batch: { readonly recordsMax: number; readonly bytesMax: number }
  /** Batches of one partition that may be under way at once. Records of one key never are. Default 1. */
  readonly lanesMax?: number
  /** Throws `Reject` for a key that no record can have. Asked before the value is read: a record under it belongs to nothing, so that nothing is erased. */
  checkKey?(key: string): void
  /**
   * Asked of each record, in order, before it is taken into a batch; null: it is taken, and is not asked about again. Else the partition
   * stands still for a moment, in that state, and is asked about the same record again. Other partitions go on. Must return at once.
   */
  admit?(arrived: Arrived, ports: Ports): Hold | null
  /** What a rejected record does downstream: a tombstone in `to[0]` (its revision counts as a deletion), or nothing. */
  readonly onReject: 'erase' | 'nothing'
  /** Told the rejections of each batch that has some, before they are written; answers whether they become dead letters. Default: they do. */
  letters?(batch: { readonly partition: number; readonly rejected: number }, ports: Ports): boolean
  /** How far the stage has come is told downstream. */
  readonly watermark?: Watermark<Ports>
  /** The position is written in the same transaction as the output; Kafka's committed offsets are not used. */
  readonly transactional?: { readonly positions: Topic }
  /** Where to begin when a partition is assigned; null: at the committed offset, or at the start of the log. */
  start?(assigned: StartAt, ports: Ports): Promise<Place | null>
  /** The stage keeps something equal to the first source: what it may have missed while it was away is found by comparing. */
  readonly away?: Away<Ports>
  /** Looks at the world now and then while a partition is ours and nothing is under way, so that a change is noticed without traffic. */
  readonly watch?: {
    readonly everyMs: number
    /** Resolves with whether the watermark is to be published again, although it has not moved. */
    check(partition: number, ports: Ports): Promise<boolean>
  }
  /** One outcome for each record, in order. A throw means that the world is not well: the same batch comes again. */
  process(batch: Batch, ports: Ports): Promise<readonly Outcome[]>
}

export interface Away<Ports> {
  /**
   * Resolves when what differs between the partition of the first source and what the stage keeps is healed, with the watermark
   * that this shows: the records that said it may be among those that were missed. `Retry` while it cannot be known.
   */
  compare(compared: Compared, ports: Ports): Promise<Low>
}

export interface Compared {
  readonly partition: number
  /** The watermark, if it were not held: everything up to this, inclusive, was handed on. */
  readonly low: Low
  readonly signal: AbortSignal
}

export type Watermark<Ports> =
  /** Every record published to the topic carries the headers `position` and `low`; progress records carry `low` on when there is nothing else to send. */
  | { readonly kind: 'carried'; readonly topic: Topic }
  /** After each batch, this record. */
  | { readonly kind: 'published'; record(mark: Mark, ports: Ports): Publish }

export interface StartAt {
  readonly partition: number
  /** Kafka's id of the topic: positions that were written about another topic of this name mean nothing. */
  readonly topicId: string
  readonly committed: number | null
  /** Everything that was written before this lies before `committed`, ms since 1970; 0: not known. */
  readonly committedAt: number
  readonly start: number
  readonly end: number
  /** False when the partition was given away meanwhile, or is being started once more: what was found out is old news. */
  stillOurs(): boolean
}

export interface Batch {
  readonly partition: number
  readonly topicId: string
  readonly records: readonly Input[]
  /** Every offset up to this, inclusive, is handled once this batch is. Only meaningful with one lane. */
  readonly through: number
  /** How many topics of the first source's name there have been, this one included: its offsets are compared with no others'. */
  readonly epoch: number
  /** The watermark that came with the records or in progress records; -1 if none yet. */
  readonly low: number
  /** Of the topic that `low` counts in; 0 if none came yet. */
  readonly lowEpoch: number
  /** Everything that was written to the topic before this is handled once this batch is, ms since 1970. Only meaningful with one lane. */
  readonly asOf: number
  /** Aborted when the partition is no longer ours: check it before every side effect. */
  readonly signal: AbortSignal
}

/** A record before it is decoded. */
export interface Arrived {
  readonly topic: Topic
  readonly record: StoredRecord
  /** What this process has of the partitions now. */
  readonly part: Part
}

/** A decoded record. */
export interface Input {
  readonly topic: Topic
  readonly at: Position
  readonly key: string
  /** Only of a topic that is raw: the key as it lies there. `key` is then its text where it is any, else the record's place. */
  readonly keyBytes?: Buffer | null
  readonly value: unknown
  /** Bytes of key, value and headers. */
  readonly bytes: number
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string>>
}

export type Outcome =
  | { readonly publish: readonly Publish[] }
  | { readonly reject: string; readonly class?: RejectClass; readonly publish?: readonly Publish[] }

export type RejectClass = 'key' | 'partition' | 'schema' | 'content' | 'size' | 'crash'

export interface Publish {
  readonly topic: Topic
  readonly key: string
  readonly value: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** Default: where the published partitioner says. */
  readonly partition?: number
}

export interface Mark {
  readonly partition: number
  /** The watermark that the handled records brought along. */
  readonly low: number
  /** Every offset of the input up to this, inclusive, is handled. */
  readonly applied: number
  /** What holds the watermark back, here or where it comes from; null: nothing does. */
  readonly state: string | null
  readonly now: number
}

export function processor<Ports>(declaration: Processor<Ports>): Processor<Ports> {
  return declaration
}

export function put<V>(
  topic: Topic<V>,
  key: string,
  value: V,
  headers: Record<string, string> = {},
  partition?: number,
): Publish {
  return partition === undefined ? { topic, key, value, headers } : { topic, key, value, headers, partition }
}

export function erase(topic: Topic, key: string, headers: Record<string, string> = {}): Publish {
  return { topic, key, value: null, headers }
}
