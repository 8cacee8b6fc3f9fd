import { createHash } from 'node:crypto'
import type { InboxDocument } from '../schemas/records.ts'
import { documents, inbox, ingestPositions } from '../schemas/topics.ts'
import { Reject, reasonOf } from '../streams/errors.ts'
import { erase, type Input, type Outcome, processor, put } from '../streams/processor.ts'
import { cleanDocument } from './clean-text.ts'
import { checkKey } from './document-key.ts'

/**
 * Brings documents from anyone's topics to `documents`: checks the key, cleans the text, and puts each where its key
 * belongs. The one transactional stage, since the order of its output is the truth. What it rejects never reaches
 * `documents`: the former version of that document stays.
 */
export const ingestDocuments = processor<object>({
  name: 'ingest-documents',
  from: [inbox],
  to: [documents],
  batch: { recordsMax: 200, bytesMax: 4 * 1024 * 1024 },
  onReject: 'nothing',
  transactional: { positions: ingestPositions },

  async process({ records, topicId }) {
    return records.map((input) => ingest(input, { traceparent: input.headers.traceparent ?? traceOf(input, topicId) }))
  },
})

function ingest({ key, value }: Input, headers: Record<string, string>): Outcome {
  try {
    checkKey(key)
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'key' }
  }
  if (value === null) return { publish: [erase(documents, key, headers)] }
  try {
    return { publish: [put(documents, key, cleanDocument(value as InboxDocument), headers)] }
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'content' }
  }
}

/** A trace begins here where the producer began none (W3C trace context, sampled). Made of the record's place, so that a repetition is the same trace. */
function traceOf({ at: { partition, offset } }: Input, topicId: string): string {
  const hash = createHash('sha256').update(`${topicId}/${partition}/${offset}`).digest('hex')
  return `00-${hash.slice(0, 32)}-${hash.slice(32, 48)}-01`
}
