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

  async process({ records }) {
    return records.map(ingest)
  },
})

function ingest({ key, value }: Input): Outcome {
  try {
    checkKey(key)
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'key' }
  }
  if (value === null) return { publish: [erase(documents, key)] }
  try {
    return { publish: [put(documents, key, cleanDocument(value as InboxDocument))] }
  } catch (error) {
    if (!(error instanceof Reject)) throw error
    return { reject: reasonOf(error), class: 'content' }
  }
}
