import { createHash } from 'node:crypto'
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

/**
 * Header of a record that is sent again: the id of the dead letter whose replay it is. The runtime carries it to everything that the
 * record leads to, so that a replay that fails again is the same entry, and a receipt says whose it is.
 */
export const REPLAY_OF = 'replay-of'

/** What a person can type a part of: made of the identity, so that a repetition has the same. */
export function letterId({ stage, topic, topicId, partition, offset }: LetterPlace): string {
  const place = `${stage}\n${topicId || topic}\n${partition}\n${offset}`
  return createHash('sha256').update(place).digest('hex').slice(0, 32)
}

export type LetterPlace = Pick<DeadLetter, 'stage' | 'topic' | 'topicId' | 'partition' | 'offset'>

/** The letter that this record is a replay of, by the header; null if it is none. */
export function replayOf(headers: Readonly<Record<string, Buffer>>): string | null {
  const id = headers[REPLAY_OF]?.toString('latin1') ?? ''
  return /^[0-9a-f]{32}$/.test(id) ? id : null
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
