import { cleanDocument } from '../../processors/clean-text.ts'
import { documents } from '../../schemas/topics.ts'
import { loadKeys } from '../load.ts'
import type { LoadEvent } from '../load-events.ts'
import type { Platform } from '../platform.ts'

export const errorClasses = [
  'Error',
  'EvalError',
  'RangeError',
  'ReferenceError',
  'SyntaxError',
  'TypeError',
  'URIError',
]

/** A document that does this to the process that works on it, where that is `troubled-worker.ts`. It can never succeed. */
export function troubling({ serde }: Platform, what: string, tenant: string, next: () => number): LoadEvent {
  const raw = { contentType: null, title: null, url: null, language: null, attributes: {} }
  const document = cleanDocument({ ...raw, text: `Of its reader, the trouble: ${what}.` })
  const keys = loadKeys(tenant, 'documents')
  return {
    door: 'documents',
    key: keys[Math.floor(next() * keys.length)]!,
    value: serde.encode(documents, document),
    meant: { kind: 'poison', class: 'crash' },
    misplaced: false,
  }
}
