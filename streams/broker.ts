/**
 * The broker port: everything the stream runtime needs of Kafka, and nothing else.
 * `brokers/kafka.ts` and `brokers/memory.ts` implement it and pass the same contract suite (`brokers/contract.ts`).
 *
 * Offsets are numbers: they stay under 2^53. Times are milliseconds since the epoch.
 */
export interface Broker {
  readonly admin: Admin
  /** An idempotent producer: one request in flight, so neither loss nor reordering by overlap (guard K1). */
  producer(): Promise<Producer>
  /** Fences every earlier producer of the same id, and aborts its open transaction, before it resolves. */
  transactionalProducer(id: string, options: { timeoutMs: number }): Promise<TransactionalProducer>
  /** Joins a consumer group. Resolves once the group has assigned partitions for the first time. */
  consumeGroup(options: GroupOptions): Promise<GroupConsumer>
  /** Reads all partitions of the topics without a group, from `from`, and follows them until closed. */
  tail(options: TailOptions): Promise<Tail>
  /**
   * Reads what is committed of one partition, from `from` (or the log's start, where that is later) up to `to`, pulled by the
   * caller. The last fetch ends at `to`; where the log ends before it, reading waits. Rejects with `Retry` when the topic does not exist.
   */
  read(range: ReadRange): AsyncIterable<Fetched>
  close(): Promise<void>
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

export interface Position extends TopicPartition {
  readonly offset: number
}

/** What a group keeps of a partition: the offset that is to be read next, and a note for whoever reads it, at most 4,096 bytes. */
export interface Commit extends Position {
  readonly metadata?: string
}

export type Headers = Readonly<Record<string, Buffer>>

/** A record as it lies in a topic. Of a header that is there more than once, the last counts. */
export interface StoredRecord extends Position {
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: Headers
}

/** A record to be written. The partition is always explicit (guard K19); keys are text (guard K18). */
export interface NewRecord extends TopicPartition {
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers?: Readonly<Record<string, string | Buffer>>
}

export interface Producer {
  /**
   * Resolves when every in-sync replica has all the records, with the place of each, in the order given. Records of one
   * partition are written in the order of the calls. Sends made while one is in flight are coalesced into the next.
   * Rejects with `Retry` when the broker could not be reached: whether the records were written is then unknown.
   * Rejects with `Reject` when the broker refuses a record as too large.
   */
  send(records: readonly NewRecord[]): Promise<readonly Position[]>
  close(): Promise<void>
}

export interface TransactionalProducer {
  /**
   * Makes all records visible together, or none. After any rejection the outcome is unknown and the producer is spent:
   * make a new one of the same id, then look at what was written. Rejects with `Fenced` if a younger producer of the
   * same id exists.
   */
  commit(records: readonly NewRecord[]): Promise<readonly Position[]>
  close(): Promise<void>
}

/** What one fetch brought from one partition: records of committed transactions only. */
export interface Fetched extends TopicPartition {
  readonly records: readonly StoredRecord[]
  /** The offset that was asked for: one fetch begins where the former ended, or where a seek went. */
  readonly from: number
  /** The offset that follows everything this fetch covers. Offsets in between without a record hold none (transaction markers, compacted). `records` may be empty. */
  readonly next: number
  /** The end of the partition as the broker told it with this fetch: the offset that the next record will get. */
  readonly end: number
}

export interface Assignment extends TopicPartition {
  /** The group's committed offset; null if there is none. */
  readonly committed: number | null
  /** What was noted with that commit; empty if nothing was. */
  readonly metadata: string
  /** First offset still in the log, and the offset that the next record will get. */
  readonly start: number
  readonly end: number
}

export interface GroupOptions {
  readonly group: string
  readonly topics: readonly string[]
  /** Bounds of one fetch. */
  readonly fetchBytesMax?: number
  readonly fetchWaitMs?: number
  readonly sessionTimeoutMs?: number
  readonly on: GroupHandler
}

/** None of these may throw; the ones without a promise must return at once (back-pressure is `pause`). */
export interface GroupHandler {
  /** A partition is ours. Nothing of it is delivered until the promise resolves with the offset to start at. A rejection leaves it paused and calls `failed`. */
  assigned(assignment: Assignment): Promise<number>
  fetched(batch: Fetched): void
  /** No longer ours: stop its work; commits for it are refused from here on. Called for every partition at each rebalance, before `assigned`. */
  revoked(partitions: readonly TopicPartition[]): void
  /** The consumer died and could not be replaced (at most 5 times in 5 minutes): the process should end with this reason. */
  failed(error: Error): void
}

export interface GroupConsumer {
  /** Pauses are kept by partition and set again after every rebalance and reconnection (guard K13). */
  pause(partition: TopicPartition): void
  resume(partition: TopicPartition): void
  /** Drops what was fetched but not delivered, and goes on at `offset`. */
  seek(position: Position): void
  /** Commits the offsets that are to be read next. Rejects with `NotOwner` if one of the partitions is no longer ours. */
  commit(positions: readonly Commit[]): Promise<void>
  owns(partition: TopicPartition): boolean
  /** Our id in the group. */
  id(): string
  /** The ids of all that are in the group now: whoever died is not, whoever only lost a partition is. */
  members(): Promise<readonly string[]>
  /** Leaves the group. Nothing is delivered afterwards. */
  close(): Promise<void>
}

export interface TailOptions {
  readonly topics: readonly string[]
  /** `start`: the first offset in the log; `end`: what is written from now on. */
  readonly from: 'start' | 'end'
  /** Must return at once and not throw. */
  fetched(batch: Fetched): void
  failed(error: Error): void
}

export interface ReadRange extends TopicPartition {
  readonly from: number
  /** The first offset that is not read. */
  readonly to: number
  /** Reading rejects with its reason. */
  readonly signal?: AbortSignal
}

export interface Tail {
  close(): Promise<void>
}

export interface TopicSpec {
  readonly name: string
  readonly partitions: number
  readonly replicationFactor: number
  /** Kafka's own names, `cleanup.policy` and the like. */
  readonly config: Readonly<Record<string, string>>
}

export interface TopicState {
  readonly name: string
  /** Kafka's topic id: another one means that the topic was deleted and created again. */
  readonly id: string
  readonly partitions: number
}

export interface PartitionOffsets {
  readonly partition: number
  readonly start: number
  /** The offset that the next record will get (transaction markers counted). */
  readonly end: number
}

export interface Admin {
  /** Resolves when the broker answers metadata, group and transaction requests (an open port is not enough after a restart). */
  ready(timeoutMs: number): Promise<void>
  topics(): Promise<readonly TopicState[]>
  /** Those that exist already are left as they are. */
  createTopics(specs: readonly TopicSpec[]): Promise<void>
  deleteTopics(names: readonly string[]): Promise<void>
  topicConfig(name: string): Promise<Readonly<Record<string, string>>>
  offsets(topic: string): Promise<readonly PartitionOffsets[]>
  /** Only partitions with a committed offset. */
  committed(group: string, topic: string): Promise<readonly Required<Commit>[]>
  /** The group must have no members. */
  resetCommitted(group: string, positions: readonly Position[]): Promise<void>
}
