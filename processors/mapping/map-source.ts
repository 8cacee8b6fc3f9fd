import type { Document } from '../../schemas/records.ts'
import type { DeclaredAttributes } from '../../search/attributes.ts'
import { Reject } from '../../streams/errors.ts'
import type { ForeignReader } from '../../streams/foreign.ts'
import type { Input } from '../../streams/processor.ts'
import { checkTypes } from '../clean-attributes.ts'
import { cleanDocument, cleaningLimits } from '../clean-text.ts'
import type { Mapping } from './declaration.ts'
import { type Mapped, mapRecord } from './map-record.ts'
import { keysOf, partsOf } from './parts.ts'

/** What is to be written of one record of a mapped topic. */
export interface Made {
  readonly did: Mapped['do']
  /** Why, where nothing is put. */
  readonly why: string | null
  /** Key of the whole; null: the record is about no row. */
  readonly key: string | null
  readonly documents: readonly { readonly key: string; readonly document: Document | null }[]
}

/** Reads the record and maps it, the same for `ingest` and for whoever only looks. Throws `Reject`, or `Retry` while the registry is away. */
export async function mapSource(
  { keyBytes, value, headers, topic }: Pick<Input, 'keyBytes' | 'value' | 'headers' | 'topic'>,
  mapping: Mapping,
  reader: ForeignReader,
  declared: DeclaredAttributes,
): Promise<Made> {
  const bytes = value as Buffer | null
  const mapped = mapRecord(
    {
      key: keyBytes ? await reader.read('key', keyBytes, mapping.key) : null,
      value: bytes === null ? null : await reader.read('value', bytes, mapping.value),
      headers,
      topic: topic.name,
    },
    mapping,
  )
  switch (mapped.do) {
    case 'skip':
      return { did: 'skip', why: mapped.why, key: null, documents: [] }
    case 'truncate':
      throw new Reject(TRUNCATED)
    case 'erase': {
      const documents = keysOf(mapped.key, mapping.split).map((key) => ({ key, document: null }))
      return { did: 'erase', why: mapped.why, key: mapped.key, documents }
    }
    case 'put': {
      const { key } = mapped
      const limits = mapping.split === undefined ? {} : { textBytesMax: cleaningLimits.rawBytesMax }
      const whole = cleanDocument(mapped.document, limits)
      checkTypes(whole.attributes, declared)
      const parts = partsOf(whole, key, mapping.split)
      const documents = keysOf(key, mapping.split).map((each, i) => ({ key: each, document: parts[i] ?? null }))
      return { did: 'put', why: null, key, documents }
    }
  }
}

/** The reason of the one dead letter of a table that was emptied at once. */
export const TRUNCATED =
  'op: the table was truncated, and no record says which rows it had; their documents are still found. Delete them by their keys (freshet erase), or have the connector take a new snapshot and delete what it does not have'
