import type { StoredRecord } from './broker.ts'
import { STARTS_MAX } from './crashes.ts'
import { textOf } from './dead-letters.ts'
import { Reject, reasonOf } from './errors.ts'
import { epochIn, type Low, noLow } from './low.ts'
import { partitionOf } from './partitioner.ts'
import type { Input, Publish, RejectClass } from './processor.ts'
import type { Serde } from './serde.ts'
import { sizeOf } from './task-state.ts'
import { isLowKey, type Topic } from './topic.ts'

export type Decoded =
  | { readonly input: Input; readonly inputLow: Low }
  /** `held`: what holds it back where it comes from; null: nothing does. */
  | { readonly low: Low; readonly held: string | null }
  | Rejected

/** A record that has ended the process as often as one may: it is not even decoded again. */
export function crashed(record: StoredRecord, topic: Topic, partitions: number): Rejected {
  const keyed =
    textOf(record.key) !== null && (!topic.keyed || partitionOf(record.key!, partitions) === record.partition)
  const reject = `the process ended ${STARTS_MAX} times while it worked on this record alone; look at its size and text, and send it again changed`
  return { reject, class: 'crash', record, publish: [], keyed }
}

export interface Rejected {
  readonly reject: string
  readonly class: RejectClass
  readonly record: StoredRecord
  readonly publish: readonly Publish[]
  /** The key is sound and the record is where it belongs, so that its rejection is a revision of that document. */
  readonly keyed: boolean
}

/** A record as the processor sees it, or the watermark that it carries, or why it can never be read. Throws `Retry` while the registry is out of reach. */
export async function decodeRecord(
  record: StoredRecord,
  topic: Topic,
  partitions: number,
  serde: Serde,
  checkKey: (key: string) => void = () => {},
): Promise<Decoded> {
  const refuse = (rejectClass: RejectClass, reject: string, keyed: boolean): Rejected => ({
    reject,
    class: rejectClass,
    record,
    publish: [],
    keyed,
  })
  if (topic.raw) return { input: rawInput(record, topic), inputLow: noLow }
  if (isLowKey(record.key))
    return {
      low:
        topic.lowSchema && record.value
          ? { epoch: epochIn(record.headers), low: await serde.decodeLow(topic, record.value) }
          : noLow,
      held: record.headers.state?.toString('utf8') ?? null,
    }
  const key = textOf(record.key)
  if (key === null) {
    return refuse(
      'key',
      record.key === null || record.key.length === 0
        ? 'key: is empty; give every document the key tenant/id'
        : `key: is not UTF-8 (${record.key.subarray(0, 32).toString('hex')}); write it as text`,
      false,
    )
  }
  if (topic.keyed && partitionOf(record.key!, partitions) !== record.partition) {
    return refuse(
      'partition',
      `partition: ${JSON.stringify(key.slice(0, 100))} lies in ${record.partition} and belongs in ${partitionOf(record.key!, partitions)} of ${partitions} (murmur2 of the key); set partitioner=murmur2_random in librdkafka, or write to inbox`,
      false,
    )
  }
  try {
    checkKey(key)
  } catch (error) {
    if (error instanceof Reject) return refuse('key', reasonOf(error), false)
    throw error
  }
  try {
    const value = record.value === null ? null : await serde.decode(topic, record.value)
    const headers = headersOf(record)
    const input: Input = {
      topic,
      at: { topic: record.topic, partition: record.partition, offset: record.offset },
      key,
      value,
      bytes: sizeOf(record),
      timestamp: record.timestamp,
      headers,
    }
    const carries = topic.lowSchema !== undefined && headers.low !== undefined && headers.low !== ''
    return { input, inputLow: carries ? { epoch: epochIn(headers), low: Number(headers.low) } : noLow }
  } catch (error) {
    if (error instanceof Reject) return refuse('schema', reasonOf(error), true)
    throw error
  }
}

function rawInput(record: StoredRecord, topic: Topic): Input {
  const { topic: name, partition, offset, key, value, timestamp } = record
  return {
    topic,
    at: { topic: name, partition, offset },
    key: textOf(key) ?? `${name}/${partition}/${offset}`,
    keyBytes: key,
    value,
    bytes: sizeOf(record),
    timestamp,
    headers: headersOf(record),
  }
}

function headersOf({ headers }: StoredRecord): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString('utf8')]))
}
