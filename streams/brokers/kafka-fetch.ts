import type { Fetched, Position, StoredRecord } from '../broker.ts'
import { ByteReader } from './kafka-bytes.ts'
import { internal, type Node, type ProtocolRequest } from './kafka-client.ts'
import { decodeBatches } from './kafka-record-batch.ts'

export interface FetchRequest {
  readonly positions: readonly (Position & { readonly bytesMax: number })[]
  /** How long the broker may wait for the first record, ms. */
  readonly waitMs: number
  readonly bytesMax: number
  /** 1 for a request that waits: others of the same connection would wait behind it. */
  readonly connection: 0 | 1
}

/** What a fetch says of one partition. */
export type PartitionFetch =
  | FetchedCommitted
  | { readonly topic: string; readonly partition: number; readonly error: Error | number }

export interface FetchedCommitted extends Fetched {
  /** The offset that was asked for. */
  readonly from: number
  /** Nothing but committed records lies before this offset. */
  readonly lastStable: number
  /** The broker sent bytes, be they records or not. */
  readonly bytes: number
}

/** One fetch of committed records from one broker. An error of a partition (Kafka's code, or an undecodable batch) is its own. */
export async function fetchCommitted(node: Node, request: FetchRequest): Promise<PartitionFetch[]> {
  const connection = await node.connectionPool.getConnection(request.connection)
  const response = await connection.send(protocolOf(request))
  return Promise.all(
    response.map(async (raw, i): Promise<PartitionFetch> => {
      const { topic, partition } = raw
      if (raw.errorCode !== 0) return { topic, partition, error: raw.errorCode }
      const from = request.positions.find((at) => at.topic === topic && at.partition === partition)
      if (from === undefined) return { topic, partition, error: new Error(`partition ${i} was not asked for`) }
      try {
        return await committedOf(raw, from.offset)
      } catch (error) {
        return { topic, partition, error: error as Error }
      }
    }),
  )
}

/**
 * Leaves out what was aborted, by the broker's list of aborted transactions and the markers, as the Java client does.
 * A marker is known by its batch, never by the record's key (guard K18).
 */
export async function committedOf(raw: RawPartition, from: number): Promise<FetchedCommitted> {
  const { topic, partition } = raw
  const aborted = [...raw.aborted].sort((a, b) => a.first - b.first)
  const aborting = new Set<bigint>()
  const records: StoredRecord[] = []
  let next = from
  for (const batch of await decodeBatches(raw.records, raw)) {
    while (aborted.length > 0 && aborted[0]!.first < batch.next) aborting.add(aborted.shift()!.producerId)
    if (batch.marker === 'abort') aborting.delete(batch.producerId)
    if (!(batch.transactional && aborting.has(batch.producerId))) {
      for (const record of batch.records) if (record.offset >= from) records.push(record)
    }
    next = Math.max(next, batch.next)
  }
  return { topic, partition, from, records, next, end: raw.end, lastStable: raw.lastStable, bytes: raw.records.length }
}

export interface RawPartition {
  readonly topic: string
  readonly partition: number
  readonly errorCode: number
  readonly end: number
  readonly lastStable: number
  readonly aborted: readonly { producerId: bigint; first: number }[]
  readonly records: Buffer
}

function protocolOf({ positions, waitMs, bytesMax }: FetchRequest): ProtocolRequest<RawPartition[]> {
  const topics = Map.groupBy(positions, ({ topic }) => topic)
  return {
    request: fetchV11({
      replicaId: -1,
      maxWaitTime: waitMs,
      minBytes: 1,
      maxBytes: bytesMax,
      isolationLevel: 1,
      topics: [...topics].map(([topic, asked]) => ({
        topic,
        partitions: asked.map(({ partition, offset, bytesMax }) => ({
          partition,
          fetchOffset: String(offset),
          maxBytes: bytesMax,
        })),
      })),
    }),
    response: { decode: async (bytes) => decode(bytes), parse: async (partitions) => partitions },
    requestTimeout: waitMs + ANSWER_TIMEOUT_MS,
  }
}

function decode(bytes: Buffer): RawPartition[] {
  const reader = new ByteReader(bytes)
  reader.int32() // throttle time
  const errorCode = reader.int16()
  reader.int32() // session
  const topics = reader.array(reader.int32(), () => {
    const topic = reader.take(reader.int16()).toString('utf8')
    return reader.array(reader.int32(), (): RawPartition => {
      const partition = reader.int32()
      const partitionError = reader.int16()
      const end = Number(reader.int64())
      const lastStable = Number(reader.int64())
      reader.int64() // log start
      const aborted = reader.array(reader.int32(), () => ({
        producerId: reader.int64(),
        first: Number(reader.int64()),
      }))
      reader.int32() // preferred read replica
      const records = reader.take(reader.int32())
      return { topic, partition, errorCode: errorCode || partitionError, end, lastStable, aborted, records }
    })
  })
  return topics.flat()
}

const fetchV11 = internal<(request: object) => ProtocolRequest<never>['request']>(
  'protocol/requests/fetch/v11/request.js',
)

/** Beyond the time that the broker may wait. */
const ANSWER_TIMEOUT_MS = 10_000
