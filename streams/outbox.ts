import type { NewRecord, StoredRecord } from './broker.ts'
import { type DeadLetter, deadLetter, REPLAY_OF, replayOf } from './dead-letters.ts'
import type { Rejected } from './decode.ts'
import { Fatal } from './errors.ts'
import { partitionOf } from './partitioner.ts'
import type { Input, Outcome, Processor, Publish } from './processor.ts'
import type { Serde } from './serde.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'

/** What is needed to write down what a batch led to. */
export interface OutboxContext {
  readonly processor: Pick<Processor, 'name' | 'from' | 'to' | 'onReject'> & {
    readonly watermark?: { readonly kind: 'carried'; readonly topic: Topic } | { readonly kind: 'published' }
  }
  /** The topic that the batch came from. */
  readonly topic: Topic
  readonly topicId: string
  /** Of the first source: what its offsets are revisions in. */
  readonly epoch: number
  readonly scope: Scope
  readonly serde: Serde
  readonly deadLetters: Topic<DeadLetter>
  /** Partitions of a topic by its declaration. */
  partitionsOf(topic: Topic): number
}

/** A record as it was stored, and as the processor saw it. */
export interface Handled {
  readonly input: Input
  readonly source: StoredRecord
}

/**
 * The records to be sent for a batch, in the order of its log: what each outcome publishes; of each rejection one dead letter and what the
 * processor declared. `low` is the watermark that they carry. Pure.
 */
export function recordsFor(
  handled: readonly Handled[],
  outcomes: readonly Outcome[],
  unreadable: readonly Rejected[],
  low: number,
  context: OutboxContext,
): { records: NewRecord[]; rejections: number } {
  const encoded = outcomes.map((outcome, i) => ({
    offset: handled[i]!.source.offset,
    ...encode(handled[i]!, outcome, low, context),
  }))
  const refused = unreadable.map((rejection) => ({ offset: rejection.record.offset, ...rejection }))
  let rejections = 0
  // In the order of the log: of one key, what comes later must lie later.
  const records = [...encoded, ...refused]
    .sort((a, b) => a.offset - b.offset)
    .flatMap((each) => {
      if (!('reject' in each)) return each.records
      rejections++
      return rejectionRecords(each, low, context)
    })
  return { records, rejections }
}

/** A record to be sent. Throws `Fatal` for a topic that the processor does not declare. */
export function recordOf(
  { topic, key, value, headers, partition }: Publish,
  carried: Record<string, string>,
  context: OutboxContext,
): NewRecord {
  const { processor, scope, serde, partitionsOf } = context
  if (!processor.to.includes(topic))
    throw new Fatal(`${processor.name} publishes to ${topic.name}, which it does not declare`)
  return {
    topic: nameIn(scope, topic),
    partition: partition ?? partitionOf(key, partitionsOf(topic)),
    key,
    value: value === null ? null : serde.encode(topic, value),
    headers: { ...carried, ...headers },
  }
}

/** What the record leads to; or its rejection, by the processor, or because it cannot be written. */
function encode(
  { input, source }: Handled,
  outcome: Outcome,
  low: number,
  context: OutboxContext,
): { records: NewRecord[] } | Rejected {
  if ('reject' in outcome) {
    const { reject, class: rejectClass = 'content', publish = [] } = outcome
    return { reject, class: rejectClass, record: source, publish, keyed: rejectClass !== 'key' }
  }
  const records = outcome.publish.map((publish) =>
    recordOf(publish, carriedBy(source, publish.topic, low, context), context),
  )
  const size = records.reduce((most, { value }) => Math.max(most, value?.length ?? 0), 0)
  if (size <= RECORD_BYTES_MAX) return { records }
  const reject = `${input.key.slice(0, 100)}: becomes a record of ${size} bytes, and ${RECORD_BYTES_MAX} is the limit; split it into several documents`
  return { reject, class: 'size', record: source, publish: [], keyed: true }
}

function rejectionRecords(
  { record, reject, class: rejectClass, publish, keyed }: Rejected,
  low: number,
  context: OutboxContext,
): NewRecord[] {
  const { processor, topic, topicId, deadLetters, partitionsOf, serde, scope } = context
  const rejection = { stage: processor.name, record, topicId, class: rejectClass, reason: reject }
  const letter = deadLetter(rejection, deadLetters, partitionsOf(deadLetters), serde, scope)
  const also = publish.map((each) => recordOf(each, {}, context))
  if (processor.onReject === 'nothing' || !keyed) return [letter, ...also]
  const erased = processor.to[0]!
  const carried = carriedBy(record, erased, low, context)
  // What comes from another source is a revision only where it says of which.
  if (topic !== processor.from[0] && carried.position === undefined) return [letter, ...also]
  const tombstone = {
    topic: erased,
    key: record.key!.toString('utf8'),
    value: null,
    headers: reasonHeader(reject),
  }
  return [letter, ...also, recordOf(tombstone, carried, context)]
}

/** Trace context, and whose replay it is, go along with every record; position and watermark where the topic carries them. */
function carriedBy(
  { partition, offset, timestamp, headers }: StoredRecord,
  to: Topic,
  low: number,
  { processor, topic, epoch }: OutboxContext,
): Record<string, string> {
  const carried: Record<string, string> = {}
  if (headers.traceparent !== undefined) carried.traceparent = headers.traceparent.toString('utf8')
  const replayed = replayOf(headers)
  if (replayed !== null) carried[REPLAY_OF] = replayed
  const { watermark, from } = processor
  if (watermark?.kind !== 'carried' || watermark.topic !== to) return carried
  if (topic !== from[0]) return { ...carried, ...revisionIn(headers, timestamp) }
  return { ...carried, position: `${partition}:${offset}:${timestamp}`, low: String(low), epoch: String(epoch) }
}

/** Of a record that says so: the revision of the first source that it is derived from again, which need not be decoded for that. */
export const revisionHeaders = (at: { partition: number; epoch: number; offset: number; derivation: number }) => ({
  position: `${at.partition}:${at.offset}`,
  epoch: String(at.epoch),
  derivation: String(at.derivation),
})

function revisionIn(headers: StoredRecord['headers'], timestamp: number): Record<string, string> {
  const [position, epoch, derivation] = ['position', 'epoch', 'derivation'].map((name) =>
    headers[name]?.toString('utf8'),
  )
  if (position === undefined || epoch === undefined || derivation === undefined) return {}
  return { position: `${position}:${timestamp}`, epoch, derivation }
}

/** Of a tombstone that stands for a rejected revision. Headers are for machines and logs: no line breaks, bounded. */
export const reasonHeader = (text: string): { reason: string } => ({ reason: text.replace(/\s+/g, ' ').slice(0, 500) })

/** One record per document and hop, and none above this. The topics allow a little more, for headers and framing. */
const RECORD_BYTES_MAX = 8 * 1024 * 1024
