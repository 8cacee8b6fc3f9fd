import { readFileSync } from 'node:fs'
import type { DeadLetter } from '../streams/dead-letters.ts'
import type { SourcePosition } from '../streams/positions.ts'
import { type AvroSchema, type Topic, topic } from '../streams/topic.ts'
import { isOlderProgress } from './progress-order.ts'
import type { Action, Control, Document, DocumentVectors, InboxDocument, Progress, Receipt, Redo } from './records.ts'

/** The catalogue: every topic of the platform, and the only place where one is named. */

const MiB = 1024 * 1024
const HOUR_MS = 3_600_000

const schema = (file: string): AvroSchema => JSON.parse(readFileSync(new URL(`${file}.avsc`, import.meta.url), 'utf8'))

/** A value is at most 8 MiB (`streams/task.ts`); keys, headers and framing come on top. */
const recordBytesMax = { 'max.message.bytes': String(9 * MiB) }

/** `max.compaction.lag.ms`: where little changes the ratio alone would keep what was replaced for ever; erasure needs a bound in time. */
const compacted = {
  'cleanup.policy': 'compact',
  'min.cleanable.dirty.ratio': '0.2',
  'segment.ms': String(24 * HOUR_MS),
  'max.compaction.lag.ms': String(3 * 24 * HOUR_MS),
}

/**
 * Compaction must not outrun a stage that is behind: for a day nothing is compacted, and a tombstone stays for a week after
 * that. `min.compaction.lag.ms` < `delete.retention.ms` is checked at start.
 */
const sourceOfTruth = {
  ...compacted,
  ...recordBytesMax,
  'min.compaction.lag.ms': String(24 * HOUR_MS),
  'delete.retention.ms': String(7 * 24 * HOUR_MS),
  'message.timestamp.type': 'LogAppendTime',
}

/** A record lives as long as the latest of its segment: segments of a day keep that near. */
const byTime = (days: number) => ({
  'cleanup.policy': 'delete',
  'retention.ms': String(days * 24 * HOUR_MS),
  'segment.ms': String(24 * HOUR_MS),
})

export const inbox = topic<InboxDocument>({
  name: 'inbox',
  about: 'Documents as their producers have them, from anyone, with any partitioner.',
  schema: schema('inbox-document'),
  partitions: 'shared',
  keyed: false,
  config: { ...byTime(7), ...recordBytesMax },
})

export const documents = topic<Document>({
  name: 'documents',
  about: 'The clean documents: the source of truth. Its offsets are the revisions.',
  schema: schema('document'),
  partitions: 'shared',
  keyed: true,
  config: sourceOfTruth,
})

export const redo = topic<Redo>({
  name: 'redo',
  about: 'Revisions to be derived again: repairs, replayed dead letters, a newer F.',
  schema: schema('redo'),
  partitions: 'shared',
  keyed: true,
  config: { ...byTime(7), ...recordBytesMax },
})

export const vectors = topic<DocumentVectors>({
  name: 'vectors.<space>',
  about:
    'All chunks of each document in one embedding space; a cache, from which the index is rebuilt without embedding.',
  schema: schema('document-vectors'),
  lowSchema: schema('low'),
  partitions: 'shared',
  keyed: true,
  config: sourceOfTruth,
})

export const ingestPositions = topic<SourcePosition>({
  name: 'ingest-positions',
  about: 'How far ingest has come in each partition of its sources, written in the transaction of its output.',
  schema: schema('ingest-position'),
  partitions: 1,
  keyed: false,
  config: compacted,
})

export const indexed = topic<Receipt>({
  name: 'indexed',
  about: 'What became of each record, and the present state of its document in the index.',
  schema: schema('receipt'),
  partitions: 'shared',
  keyed: true,
  config: compacted,
})

export const progress = topic<Progress>({
  name: 'progress',
  about: 'Watermarks: how far each collection follows each partition of documents.',
  schema: schema('progress'),
  partitions: 1,
  keyed: false,
  config: { ...compacted, 'segment.ms': String(HOUR_MS) },
  isOlder: isOlderProgress,
})

export const deadLetters = topic<DeadLetter>({
  name: 'dead-letters',
  about: 'What can never succeed, untouched, with the reason.',
  schema: schema('dead-letter'),
  partitions: 1,
  keyed: false,
  // By the broker's clock, as in `documents`: which of two records came later decides whether a replay would go back.
  config: { ...byTime(30), 'max.message.bytes': String(12 * MiB), 'message.timestamp.type': 'LogAppendTime' },
})

export const control = topic<Control>({
  name: 'control',
  about: 'What is decided for the whole platform: the serving collection, the identities of topics.',
  schema: schema('control'),
  partitions: 1,
  keyed: false,
  config: compacted,
})

export const actions = topic<Action>({
  name: 'actions',
  about: 'What was done with admin rights: who, what, when.',
  schema: schema('action'),
  partitions: 1,
  keyed: false,
  config: { ...byTime(365), 'message.timestamp.type': 'LogAppendTime' },
})

/** Topics beside `inbox` that ingest reads: whoever is to wait for nobody, and to make nobody wait, has one. */
export const sourceNamed = (name: string): Topic<InboxDocument> => ({
  ...inbox,
  name,
  about: 'As inbox: a source of its own.',
})

/** A topic of anybody's, whose records become documents by a mapping. Made only where it is missing, so that a worker can begin before whoever writes it. */
export const mappedNamed = (name: string): Topic<InboxDocument> => ({
  ...sourceNamed(name),
  about: "Somebody else's: its records become documents by a mapping.",
  raw: true,
})

/** What the sinks of Kafka Connect cannot take: the topic that their configurations name. Connect's own form, so its schema means nothing. */
export const connectDeadLetters: Topic = {
  name: 'connect-dead-letters',
  about: 'What sinks of Kafka Connect cannot take, as Connect writes it.',
  schema: deadLetters.schema,
  raw: true,
  partitions: 1,
  keyed: false,
  config: { ...byTime(7), 'max.message.bytes': String(12 * MiB) },
}

export const catalogue = [
  inbox,
  documents,
  redo,
  vectors,
  ingestPositions,
  indexed,
  progress,
  deadLetters,
  control,
  actions,
] as const
