import type { Producer as KafkaJsProducer, RecordMetadata } from 'kafkajs'
import type { NewRecord, Position, Producer } from '../broker.ts'
import { Reject, Retry } from '../errors.ts'
import { type Client, createClient, type KafkaOptions, type Log, REQUEST_TIMEOUT_MS } from './kafka-client.ts'
import { asInstruction, isTooLarge } from './kafka-errors.ts'
import { Link } from './kafka-link.ts'
import { keyOf } from './kafka-offsets.ts'

interface Send {
  readonly records: readonly NewRecord[]
  readonly bytes: number
  resolve(positions: readonly Position[]): void
  reject(error: Error): void
}

/**
 * Guard K1: everything goes through one queue with one request in flight; what is sent meanwhile becomes the next request.
 * After any failure but a refused size the kafkajs producer is replaced (guard K20), since what it believes of its sequence
 * numbers is in doubt.
 */
export async function producer(kafka: KafkaOptions & { readonly log: Log }): Promise<Producer> {
  const queue: Send[] = []
  let queuedBytes = 0
  let current: { client: Client; producer: KafkaJsProducer } | null = null
  let sentRecords = 0
  let failures = 0
  let busy = false
  let idle = Promise.withResolvers<void>()
  idle.resolve()
  let closed = false
  const waitingForRoom: (() => void)[] = []

  const connect = async (): Promise<KafkaJsProducer> => {
    if (current !== null && sentRecords < RECORDS_PER_PRODUCER_MAX) return current.producer
    drop()
    // Whether Kafka is there at all is known soon; the patience is for what is in flight when it goes away.
    const link = new Link(kafka)
    await link.cluster().finally(() => link.close())
    const client = createClient(kafka, CONNECT_ATTEMPTS)
    const producer = client.kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: explicitPartitioner,
      retry: RETRY,
    })
    client.replaceSilent(producer)
    try {
      await producer.connect()
    } catch (error) {
      client.destroy()
      throw error
    }
    current = { client, producer }
    return producer
  }

  const drop = (): void => {
    current?.client.destroy()
    current = null
    sentRecords = 0
  }

  const run = async (): Promise<void> => {
    if (busy) return
    busy = true
    idle = Promise.withResolvers()
    // What is sent in this turn goes along.
    await Promise.resolve()
    while (queue.length > 0) {
      const sends = takeBatch()
      try {
        const records = sends.flatMap(({ records }) => records)
        const outcomes = await deliver(records)
        failures = 0
        let from = 0
        for (const send of sends) {
          settle(send, outcomes.slice(from, from + send.records.length))
          from += send.records.length
        }
      } catch (error) {
        drop()
        const instruction = asInstruction(error, 'sending to Kafka')
        kafka.log(failures++ === 0 ? 'warn' : 'debug', 'sending failed', {
          records: sends.length,
          reason: instruction.message,
        })
        for (const { reject } of sends) reject(instruction)
      }
    }
    busy = false
    idle.resolve()
  }

  /** The next request: whole sends, at least one, within the bounds. */
  const takeBatch = (): Send[] => {
    let bytes = 0
    let records = 0
    let count = 0
    for (const send of queue) {
      bytes += send.bytes
      records += send.records.length
      if (count > 0 && (bytes > REQUEST_BYTES_MAX || records > REQUEST_RECORDS_MAX)) break
      count++
    }
    const sends = queue.splice(0, count)
    queuedBytes -= sends.reduce((sum, { bytes }) => sum + bytes, 0)
    for (const wake of waitingForRoom.splice(0)) wake()
    return sends
  }

  /** Where each record lies, or why it was refused. */
  const deliver = async (records: readonly NewRecord[]): Promise<(Position | Reject)[]> => {
    const connected = await connect()
    const outcomes = new Map<NewRecord, Position | Reject>()
    for (const part of parts(records)) await deliverPart(connected, part, outcomes)
    sentRecords += records.length
    return records.map((record) => outcomes.get(record)!)
  }

  /**
   * A refused size says nothing of the other partitions of the request, which may be written. The same batch of each partition
   * is therefore sent again by itself: the broker knows it by its sequence numbers and answers with where it lies. Only
   * the refused one is new, and is cut in halves until the record is found.
   */
  const deliverPart = async (
    connected: KafkaJsProducer,
    records: readonly NewRecord[],
    outcomes: Map<NewRecord, Position | Reject>,
  ): Promise<void> => {
    try {
      const positions = await sendBatch(connected, records)
      for (const [i, record] of records.entries()) outcomes.set(record, positions[i]!)
    } catch (error) {
      if (!isTooLarge(error)) throw error
      const partitions = [...Map.groupBy(records, keyOf).values()]
      const [first] = records as [NewRecord]
      if (records.length === 1) {
        const size = (first.value?.length ?? 0) + Buffer.byteLength(first.key ?? '')
        outcomes.set(first, new Reject(`a record of ${size} bytes is too large for ${first.topic}`, { cause: error }))
      } else if (partitions.length > 1) {
        for (const partition of partitions) await deliverPart(connected, partition, outcomes)
      } else {
        const middle = records.length >> 1
        await deliverPart(connected, records.slice(0, middle), outcomes)
        await deliverPart(connected, records.slice(middle), outcomes)
      }
    }
  }

  return {
    async send(records) {
      if (records.length === 0) return []
      const bytes = records.reduce((sum, record) => sum + sizeOf(record), 0)
      // Bounded (guard K20): whoever sends more than the broker takes waits here.
      while (queue.length > 0 && queuedBytes + bytes > QUEUE_BYTES_MAX) {
        await new Promise<void>((resolve) => waitingForRoom.push(resolve))
      }
      if (closed) throw new Retry('the producer is closed')
      return new Promise((resolve, reject) => {
        queue.push({ records, bytes, resolve, reject })
        queuedBytes += bytes
        void run()
      })
    },
    async close() {
      closed = true
      await idle.promise
      for (const wake of waitingForRoom.splice(0)) wake()
      await current?.producer.disconnect().catch(() => {})
      drop()
    },
  }
}

function settle({ resolve, reject }: Send, outcomes: readonly (Position | Reject)[]): void {
  const refused = outcomes.find((outcome) => outcome instanceof Reject)
  if (refused !== undefined) reject(refused)
  else resolve(outcomes as readonly Position[])
}

/** In pieces that keep each partition under the default `max.message.bytes`, since a partition's records of one request are one batch. */
export function* parts(records: readonly NewRecord[]): Generator<readonly NewRecord[]> {
  let part: NewRecord[] = []
  const bytesOf = new Map<string, number>()
  for (const record of records) {
    const key = keyOf(record)
    const bytes = (bytesOf.get(key) ?? 0) + sizeOf(record)
    if (bytes > BATCH_BYTES_MAX && bytesOf.has(key)) {
      yield part
      part = []
      bytesOf.clear()
    }
    bytesOf.set(key, (bytesOf.get(key) ?? 0) + sizeOf(record))
    part.push(record)
  }
  yield part
}

/** One request of kafkajs; the place of each record, in order. */
export async function sendBatch(
  to: Pick<KafkaJsProducer, 'sendBatch'>,
  records: readonly NewRecord[],
): Promise<Position[]> {
  const topics = Map.groupBy(records, ({ topic }) => topic)
  const answers = await to.sendBatch({
    acks: -1,
    timeout: ACKNOWLEDGE_TIMEOUT_MS,
    topicMessages: [...topics].map(([topic, records]) => ({
      topic,
      messages: records.map(({ partition, key, value, headers }) => ({
        partition,
        key,
        value,
        ...(headers !== undefined && { headers: { ...headers } }),
      })),
    })),
  })
  const next = new Map(answers.map((answer) => [`${answer.topicName}/${answer.partition}`, baseOffsetOf(answer)]))
  return records.map(({ topic, partition }) => {
    const key = keyOf({ topic, partition })
    const offset = next.get(key)
    if (offset === undefined) throw new Retry(`the broker did not say where in ${key} it wrote`)
    next.set(key, offset + 1)
    return { topic, partition, offset }
  })
}

const baseOffsetOf = ({ baseOffset, offset }: RecordMetadata): number => Number(baseOffset ?? offset)

/** Guard K19: kafkajs would choose a partition anew at each retry. */
export const explicitPartitioner =
  () =>
  ({ message }: { message: { partition?: number } }): number => {
    if (message.partition === undefined) throw new TypeError('a record without a partition')
    return message.partition
  }

function sizeOf({ key, value, headers = {} }: NewRecord): number {
  let bytes = 40 + Buffer.byteLength(key ?? '') + (value?.length ?? 0)
  for (const [name, text] of Object.entries(headers)) bytes += Buffer.byteLength(name) + Buffer.byteLength(text) + 4
  return bytes
}

/** About half a minute of a broker out of reach: within it the producer's sequence numbers tell a repeat, after it nobody can. */
const RETRY = { initialRetryTime: 50, factor: 0.2, multiplier: 1.6, maxRetryTime: 2_000, retries: 20 }
/** About as long, for a broker to which there is no connection: kafkajs counts those apart. */
const CONNECT_ATTEMPTS = 28
const ACKNOWLEDGE_TIMEOUT_MS = REQUEST_TIMEOUT_MS - 2_000
const QUEUE_BYTES_MAX = 32 * 1024 * 1024
const REQUEST_BYTES_MAX = 4 * 1024 * 1024
const REQUEST_RECORDS_MAX = 10_000
const BATCH_BYTES_MAX = 900 * 1024
/** Sequence numbers are 32 bits by partition, and kafkajs wraps them wrongly (guard K20). */
const RECORDS_PER_PRODUCER_MAX = 2 ** 30
