import type { NewRecord, Position, TopicPartition, TransactionalProducer } from './broker.ts'
import { Fenced, Reject, reasonOf, StartOver } from './errors.ts'
import { partitionOf } from './partitioner.ts'
import type { Runtime } from './runner.ts'
import { openTable } from './table.ts'
import { nameIn, type Topic } from './topic.ts'

/** How far a transactional stage has come in one partition of a source. */
export interface SourcePosition {
  topic: string
  partition: number
  next: number
  at: number
}

/**
 * Output and position of one source partition, in one transaction. The transactional id is the source partition, so a
 * younger owner fences an older one; the position is a record of the transaction, so there is no `sendOffsets` to fail
 * (guards K2 to K6). After any doubt about a commit the store is spent: open another, and look.
 */
export interface PositionStore {
  /** The first offset that is not handled; null if the source partition was never seen. */
  next(): Promise<number | null>
  /** How far a former topic of this name was read, if there was one; null once this one was. */
  former(): number | null
  commit(records: readonly NewRecord[], through: number): Promise<readonly Position[]>
  close(): Promise<void>
}

export interface Positions {
  open(source: TopicPartition & { topicId: string }): Promise<PositionStore>
  close(): Promise<void>
}

export async function ingestPositions(
  topic: Topic,
  { broker, serde, scope, clock, failed }: Runtime,
): Promise<Positions> {
  if (topic.partitions === 'shared') throw new Error(`${topic.name} needs a number of partitions of its own`)
  const partitions = topic.partitions
  const table = await openTable(topic as Topic<SourcePosition>, { broker, serde, scope, failed, clock })
  return {
    async open(source) {
      const key = `${source.topicId}/${source.partition}`
      // Fences every earlier owner and ends its open transaction; only then is what the table says final.
      const producer: TransactionalProducer = await broker.transactionalProducer(
        `${scope.prefix}freshet.ingest/${key}`,
        { timeoutMs: TRANSACTION_TIMEOUT_MS },
      )
      return {
        async next() {
          await table.sync()
          return table.get(key)?.next ?? null
        },
        former() {
          if (table.get(key) !== undefined) return null
          const formers = [...table.entries()].filter(
            ([, { topic: of, partition }]) => of === source.topic && partition === source.partition,
          )
          return formers.reduce<number | null>((most, [, { next }]) => Math.max(most ?? 0, next), null)
        },
        async commit(records, through) {
          const position: SourcePosition = {
            topic: source.topic,
            partition: source.partition,
            next: through + 1,
            at: clock.now(),
          }
          const record: NewRecord = {
            topic: nameIn(scope, topic),
            partition: partitionOf(key, partitions),
            key,
            value: serde.encode(topic, position),
          }
          try {
            return await producer.commit([...records, record])
          } catch (error) {
            if (error instanceof Reject) throw error
            throw new StartOver(
              error instanceof Fenced
                ? `another owner has taken ${key}`
                : `it is not known whether a transaction of ${key} was committed: ${reasonOf(error)}`,
              { cause: error },
            )
          }
        },
        close: () => producer.close(),
      }
    },
    close: () => table.close(),
  }
}

/** An open transaction holds back what lies behind it in its partitions: no longer than this. */
const TRANSACTION_TIMEOUT_MS = 10_000
