import type { StoredRecord, TopicPartition } from '../broker.ts'
import { ByteReader } from './kafka-bytes.ts'
import { internal } from './kafka-client.ts'

/** A record batch as it lies in the log, format v2 (https://kafka.apache.org/documentation/#recordbatch). */
export interface RecordBatch {
  /** The offset that follows the batch, whether or not its last offsets still hold a record. */
  readonly next: number
  readonly producerId: bigint
  readonly transactional: boolean
  /** Of a control batch: whether it ends a transaction by an abort; null for records of producers. */
  readonly marker: 'commit' | 'abort' | null
  readonly records: readonly StoredRecord[]
}

/** Decodes all whole batches; a fetch may end in the middle of one. Rejects on an unknown format or a corrupt batch. */
export async function decodeBatches(bytes: Buffer, at: TopicPartition): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  for (let start = 0; start + HEADER_BYTES <= bytes.length; ) {
    const length = bytes.readInt32BE(start + 8)
    const end = start + LENGTH_END + length
    if (end > bytes.length) break
    batches.push(await decodeBatch(bytes.subarray(start, end), at))
    start = end
  }
  return batches
}

async function decodeBatch(batch: Buffer, at: TopicPartition): Promise<RecordBatch> {
  const magic = batch.readInt8(16)
  if (magic !== 2) throw new Error(`record format ${magic} in ${at.topic}/${at.partition}; this reads format 2 only`)
  const first = Number(batch.readBigInt64BE(0))
  const attributes = batch.readInt16BE(21)
  const next = first + batch.readInt32BE(23) + 1
  const transactional = (attributes & TRANSACTIONAL) !== 0
  const producerId = batch.readBigInt64BE(43)
  const count = batch.readInt32BE(57)
  const codec = lookupCodec(attributes)
  const body = batch.subarray(HEADER_BYTES)
  const reader = new ByteReader(codec === null || count === 0 ? body : await codec.decompress(body))
  if ((attributes & CONTROL) !== 0) {
    return { next, producerId, transactional, marker: count === 0 ? 'commit' : markerOf(reader), records: [] }
  }
  const baseTimestamp = Number(batch.readBigInt64BE(27))
  const appended = (attributes & LOG_APPEND_TIME) !== 0 ? Number(batch.readBigInt64BE(35)) : null
  const records: StoredRecord[] = []
  for (let i = 0; i < count; i++) {
    const length = reader.varint()
    const end = reader.at + length
    reader.take(1)
    const timestamp = appended ?? baseTimestamp + reader.varlong()
    if (appended !== null) reader.varlong()
    const offset = first + reader.varint()
    const key = copyOf(reader)
    const value = copyOf(reader)
    const headers: Record<string, Buffer> = {}
    for (let left = reader.varint(); left > 0; left--) {
      const name = copyOf(reader)?.toString('utf8') ?? ''
      // A header without a value is there, and empty.
      Object.defineProperty(headers, name, { value: copyOf(reader) ?? EMPTY, enumerable: true, configurable: true })
    }
    reader.at = end
    records.push({ topic: at.topic, partition: at.partition, offset, timestamp, key, value, headers })
  }
  return { next, producerId, transactional, marker: null, records }
}

/** The key of a control record is a version and a type: 0 abort, 1 commit. */
function markerOf(reader: ByteReader): 'commit' | 'abort' {
  reader.varint()
  reader.take(1)
  reader.varlong()
  reader.varint()
  return copyOf(reader)!.readInt16BE(2) === 0 ? 'abort' : 'commit'
}

/** A copy: a record outlives the fetch it came with, and must not keep all of it in memory. */
function copyOf(reader: ByteReader): Buffer | null {
  const length = reader.varint()
  return length < 0 ? null : Buffer.from(reader.take(length))
}

const { lookupCodecByAttributes: lookupCodec } = internal<{
  lookupCodecByAttributes(attributes: number): { decompress(bytes: Buffer): Promise<Buffer> } | null
}>('protocol/message/compression/index.js')

const EMPTY = Buffer.alloc(0)
/** Base offset and length; up to the number of records. */
const LENGTH_END = 12
const HEADER_BYTES = 61
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
