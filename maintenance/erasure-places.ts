import { catalogue } from '../schemas/topics.ts'
import type { Topic } from '../streams/topic.ts'

/** What a topic holds of a document, and how that is erased. Every topic of the catalogue is declared here; a test fails where one is not. */
export interface Erasure {
  readonly holds: 'content' | 'key' | 'tenant' | 'nothing'
  /**
   * deletion: a deletion under the document's key, then compaction. time: no single record can be taken out; it is gone when its time
   * is over. decision: what is kept of a tenant is that it was erased. nothing: nothing is to be done.
   */
  readonly by: 'deletion' | 'time' | 'decision' | 'nothing'
  readonly about: string
}

export const erasures: Readonly<Record<string, Erasure>> = {
  inbox: { holds: 'content', by: 'time', about: 'what producers sent' },
  documents: { holds: 'content', by: 'deletion', about: 'the document, and its former versions until compaction' },
  redo: { holds: 'content', by: 'time', about: 'copies of documents that were derived again' },
  'vectors.<space>': { holds: 'content', by: 'deletion', about: 'chunks and vectors' },
  'ingest-positions': { holds: 'nothing', by: 'nothing', about: 'offsets alone' },
  indexed: { holds: 'key', by: 'deletion', about: 'receipts: the key and offsets' },
  progress: { holds: 'nothing', by: 'nothing', about: 'offsets alone' },
  'dead-letters': { holds: 'content', by: 'time', about: 'refused records, untouched; hidden from dlq at once' },
  control: { holds: 'tenant', by: 'decision', about: 'API keys and quotas of tenants; no key of a document' },
  actions: { holds: 'tenant', by: 'time', about: 'who did what; of a document only the SHA-256 of its key' },
}

/** Topics of the catalogue of which nobody has said how they are erased. */
export const undeclared = (topics: readonly Topic[] = catalogue): string[] =>
  topics.map(({ name }) => name).filter((name) => erasures[name] === undefined)

export function erasureOf({ name }: Topic): Erasure {
  const found = erasures[name]
  if (found === undefined)
    throw new Error(`topic ${name}: nobody has said how it is erased; maintenance/erasure-places.ts`)
  return found
}
