import type { IndexContents } from '../processors/index-contents.ts'
import { documents } from '../schemas/topics.ts'
import type { Broker, NewRecord } from '../streams/broker.ts'
import type { Clock } from '../streams/clock.ts'
import type { Serde } from '../streams/serde.ts'
import { nameIn, type Scope } from '../streams/topic.ts'

/** What the audit needs of the world: the log, the index, and a way to have a document derived again. */
export interface AuditWorld {
  readonly broker: Pick<Broker, 'admin' | 'read'>
  readonly contents: IndexContents
  readonly serde: Serde
  readonly scope: Scope
  readonly partitions: number
  readonly epoch: number
  /**
   * Rejects with `Retry` where `documents` is not the topic that the epoch counts in, or not any more: all keys would look as
   * if they were gone. Asked whenever something is judged, after it was read.
   */
  check(): Promise<void>
  readonly clock: Clock
  /** Resolves when the records of `redo` are acknowledged. */
  send(records: readonly NewRecord[]): Promise<unknown>
}

/** What an audit may cost. */
export interface Bounds {
  /** Keys of `documents` remembered at once, and those that come while they are compared; where a partition has more, it is read once more for each such part. */
  readonly keysMax: number
  /** Points of the index in memory at once, where a bucket has fewer. */
  readonly slicePointsMax: number
  /** Documents sent to be derived again in one audit of a partition. */
  readonly repairsMax: number
  /** How long a partition may be behind before it is told so, and how long repairs may stand still, ms. */
  readonly waitMs: number
}

export const defaultBounds: Bounds = {
  keysMax: 200_000,
  slicePointsMax: 2_000,
  repairsMax: 100_000,
  waitMs: 30_000,
}

/** What was read, so that the cost can be told. */
export interface Cost {
  records: number
  bytes: number
  points: number
}

/** Told after every piece of work how many points it was; resolves when the next may begin. */
export type Pace = (points: number) => Promise<void>

/** A record of `documents` costs so much less to read than a point with its vectors. */
export const RECORDS_PER_POINT = 20

export const atFullSpeed: Pace = async () => {}

/** `documents`, as it is called here. */
export const documentsIn = (scope: Scope): string => nameIn(scope, documents)

/** Every position of the partition up to this is in the index; what its marker says of another epoch says nothing of this one. */
export async function lowOf({ contents, epoch }: AuditWorld, partition: number): Promise<number> {
  const marker = await contents.marker(partition)
  return marker?.epoch === epoch ? marker.low : -1
}

export async function offsetsOf({ broker, scope }: AuditWorld, partition: number) {
  const offsets = await broker.admin.offsets(documentsIn(scope))
  return offsets.find((each) => each.partition === partition) ?? { partition, start: 0, end: 0 }
}
