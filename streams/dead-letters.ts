import type { NewRecord, StoredRecord } from './broker.ts'
import { partitionOf } from './partitioner.ts'
import type { RejectClass } from './processor.ts'
import type { Serde } from './serde.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'

/** A record that can never succeed, untouched. Its identity is (stage, topicId, partition, offset): the same one again is a repetition. */
export interface DeadLetter {
  stage: string
  class: string
  reason: string
  topic: string
  topicId: string
  partition: number
  offset: number
  timestamp: number
  key: Buffer | null
  value: Buffer | null
  headers: Record<string, Buffer>
}

export interface Rejection {
  readonly stage: string
  readonly record: StoredRecord
  readonly topicId: string
  readonly class: RejectClass
  readonly reason: string
}

export function deadLetter(
  { stage, record, topicId, class: rejectClass, reason }: Rejection,
  topic: Topic<DeadLetter>,
  partitions: number,
  serde: Serde,
  scope: Scope,
): NewRecord {
  const { key, value, headers, partition, offset, timestamp } = record
  const letter: DeadLetter = {
    stage,
    class: rejectClass,
    reason: reason.slice(0, REASON_CHARS_MAX),
    topic: record.topic,
    topicId,
    partition,
    offset,
    timestamp,
    key,
    value,
    headers: { ...headers },
  }
  // A key that is not text cannot be a key of ours; the letter then lies where its origin says.
  const name = textOf(key) ?? `${record.topic}/${partition}/${offset}`
  return {
    topic: nameIn(scope, topic),
    partition: partitionOf(name, partitions),
    key: name,
    value: serde.encode(topic, letter),
    headers: { stage, class: rejectClass, ...(headers.traceparent && { traceparent: headers.traceparent }) },
  }
}

const REASON_CHARS_MAX = 2_000

/** Strict UTF-8; null for what is not text. */
export function textOf(bytes: Buffer | null): string | null {
  if (bytes === null || bytes.length === 0) return null
  try {
    return strictUtf8.decode(bytes)
  } catch {
    return null
  }
}

const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
