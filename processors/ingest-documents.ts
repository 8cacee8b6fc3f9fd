import { createHash } from 'node:crypto'
import type { InboxDocument } from '../schemas/records.ts'
import { documents, inbox, ingestPositions } from '../schemas/topics.ts'
import { type DeclaredAttributes, NONE_DECLARED } from '../search/attributes.ts'
import { Fatal, Reject, reasonOf } from '../streams/errors.ts'
import type { ForeignReader } from '../streams/foreign.ts'
import type { Hold } from '../streams/holding.ts'
import { type Arrived, erase, type Input, type Outcome, type Processor, processor, put } from '../streams/processor.ts'
import type { Topic } from '../streams/topic.ts'
import { checkTypes } from './clean-attributes.ts'
import { cleanDocument } from './clean-text.ts'
import { checkKey, tenantOf } from './document-key.ts'
import type { Mapping } from './mapping/declaration.ts'
import { mapSource, TRUNCATED } from './mapping/map-source.ts'

export interface IngestPorts {
  /** Whether anybody wrote the key to `documents` at this offset of its partition or later. Asked only for a replayed record. */
  readonly writtenSince?: (key: string, offset: number) => Promise<boolean>
  /** Whether the record may go on now, and if not, until when it is to wait. Default: all may. */
  readonly admit?: (arrived: Arrived) => Hold | null
  /** When the tenant was erased, ms since 1970; null: it was not. */
  readonly erasedAt?: (tenant: string) => number | null
  /** The types that attributes must have. Not part of F: a document that is in `documents` is never judged by them. */
  readonly attributes?: DeclaredAttributes
  /** Told each document that is left out since its tenant was erased. */
  readonly leftOut?: (tenant: string) => void
  /** How topics of others become documents, by name, and who reads their bytes. A source that is raw has one. */
  readonly mapped?: { readonly mappings: ReadonlyMap<string, Mapping>; readonly reader: ForeignReader }
  /** Told that the table behind a source was emptied at once. */
  readonly truncated?: (topic: string) => void
}

/** Header of a document: topic id, partition and offset of the source record that it was made of. */
export const SOURCE = 'source'
/** Header of a source record that is sent again: the end of its key's partition of `documents` when that was decided. */
export const REPLAY_SEEN = 'replay-seen'

/**
 * Brings documents from anyone's topics to `documents`: checks the key, cleans the text, and puts each where its key
 * belongs. The one transactional stage, since the order of its output is the truth. What it rejects never reaches
 * `documents`: the former version of that document stays.
 */
export const ingestDocuments = processor<IngestPorts>({
  name: 'ingest-documents',
  from: [inbox],
  to: [documents],
  batch: { recordsMax: 200, bytesMax: 4 * 1024 * 1024 },
  checkKey,
  onReject: 'nothing',
  transactional: { positions: ingestPositions },
  admit: (arrived, { admit }) => admit?.(arrived) ?? null,

  async process({ records, topicId }, ports) {
    return Promise.all(
      records.map(async (input, i): Promise<Outcome> => {
        if (input.topic.raw) return ingestMapped(input, headersOf(input, topicId), ports)
        const tenant = tenantOf(input.key)
        // No dead letter: it would be one more copy of what was erased. A deletion is let through.
        if (input.value !== null && (ports.erasedAt?.(tenant) ?? null) !== null) {
          ports.leftOut?.(tenant)
          return { publish: [] }
        }
        if (await isOvertaken(input, records.slice(0, i), ports)) {
          return {
            reject: 'replay: a newer record of this key came while this one was on its way; nothing is left to do',
          }
        }
        return ingest(input, headersOf(input, topicId), ports.attributes ?? NONE_DECLARED)
      }),
    )
  },
})

/** The same, from these topics. Of one key in several of them, what is ingested last counts. */
export const ingestFrom = (sources: readonly Topic<InboxDocument>[]): Processor<IngestPorts> => ({
  ...ingestDocuments,
  from: sources,
})

/** A record that is sent again must not take the place of a newer one of its key: the last look before it is written. */
async function isOvertaken(
  { key, headers }: Input,
  before: readonly Input[],
  { writtenSince }: IngestPorts,
): Promise<boolean> {
  const seen = Number(headers[REPLAY_SEEN] ?? Number.NaN)
  if (!Number.isSafeInteger(seen)) return false
  return before.some((each) => each.key === key) || ((await writtenSince?.(key, seen)) ?? false)
}

function ingest({ key, value }: Input, headers: Record<string, string>, declared: DeclaredAttributes): Outcome {
  if (value === null) return { publish: [erase(documents, key, headers)] }
  try {
    const document = cleanDocument(value as InboxDocument)
    checkTypes(document.attributes, declared)
    return { publish: [put(documents, key, document, headers)] }
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'content' }
  }
}

/** All that a row becomes is one outcome: its parts, and the deletion of those that it has no more, are one transaction. */
async function ingestMapped(input: Input, headers: Record<string, string>, ports: IngestPorts): Promise<Outcome> {
  const mapping = ports.mapped?.mappings.get(input.topic.name)
  if (mapping === undefined) throw new Fatal(`${input.topic.name} is raw and has no mapping`)
  // Whether a newer row came meanwhile was asked of the record's key, which is no document's.
  if (input.headers[REPLAY_SEEN] !== undefined)
    return {
      reject: 'replay: a record of a mapped topic is not sent again; change the row, so that a new record comes',
    }
  try {
    const made = await mapSource(input, mapping, ports.mapped!.reader, ports.attributes ?? NONE_DECLARED)
    const tenant = made.key === null ? null : tenantOf(made.key)
    if (made.did === 'put' && (ports.erasedAt?.(tenant!) ?? null) !== null) {
      ports.leftOut?.(tenant!)
      return { publish: [] }
    }
    return {
      publish: made.documents.map(({ key, document }) =>
        document === null ? erase(documents, key, headers) : put(documents, key, document, headers),
      ),
    }
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    if (error.message === TRUNCATED) ports.truncated?.(input.topic.name)
    return { reject: reasonOf(error), class: 'content' }
  }
}

const headersOf = (input: Input, topicId: string): Record<string, string> => ({
  traceparent: input.headers.traceparent ?? traceOf(input, topicId),
  [SOURCE]: `${topicId}/${input.at.partition}/${input.at.offset}`,
})

/** A trace begins here where the producer began none (W3C trace context, sampled). Made of the record's place, so that a repetition is the same trace. */
function traceOf({ at: { partition, offset } }: Input, topicId: string): string {
  const hash = createHash('sha256').update(`${topicId}/${partition}/${offset}`).digest('hex')
  return `00-${hash.slice(0, 32)}-${hash.slice(32, 48)}-01`
}
