import { createHash } from 'node:crypto'
import { checkKey } from '../processors/document-key.ts'
import type { IndexContents } from '../processors/index-contents.ts'
import type { Broker, NewRecord } from '../streams/broker.ts'
import type { Clock } from '../streams/clock.ts'
import type { Serde } from '../streams/serde.ts'
import type { Scope, Topic } from '../streams/topic.ts'

/** What is to be erased: these documents, or everything of a tenant. */
export type Subject = { readonly keys: readonly string[] } | { readonly tenant: string }

/** What an erasure needs of the world. */
export interface EraseWorld {
  readonly broker: Broker
  readonly serde: Serde
  /** Its prefix counts; the space is that of `spaces`. */
  readonly scope: Scope
  readonly partitions: number
  readonly epoch: number
  /** The spaces that have a topic of vectors, also those that no worker derives any more. */
  readonly spaces: readonly string[]
  /** What ingest reads. */
  readonly sources: readonly Topic[]
  /** Every collection that is there: the one that serves, candidates, former ones, those of other spaces. */
  readonly indexes: readonly ErasableIndex[]
  readonly clock: Clock
  /** Who it is, for what is written down. */
  readonly by: string
  /** The request that asked for it; null: it came from the command line. */
  readonly requestId?: string | null
  /** Resolves when they are acknowledged. */
  send(records: readonly NewRecord[]): Promise<unknown>
}

export interface ErasableIndex
  extends Pick<IndexContents, 'collection' | 'manifests' | 'manifestsOf' | 'chunksOf' | 'remove' | 'forget'> {
  /** A worker is to keep it up to date. One that nobody follows is emptied here, and only its content is waited for. */
  readonly followed: boolean
}

/** Throws, naming the fix, where a key can be no document's. */
export function checkSubject(subject: Subject): void {
  if ('tenant' in subject) return void checkKey(`${subject.tenant}/x`)
  if (subject.keys.length === 0) throw new Error('what: give the keys of documents, like acme/handbook-7, or --tenant')
  if (subject.keys.length > KEYS_MAX)
    throw new Error(
      `keys: ${subject.keys.length} are given, and ${KEYS_MAX} are the limit; erase them in several parts`,
    )
  for (const key of subject.keys) checkKey(key)
}

const KEYS_MAX = 10_000

export function concerns(subject: Subject): (key: string) => boolean {
  if ('tenant' in subject) return (key) => key.startsWith(`${subject.tenant}/`)
  const keys = new Set(subject.keys)
  return (key) => keys.has(key)
}

/** What is written down of an erasure must not keep the key that it erases. */
export const hashOfKey = (key: string): string => createHash('sha256').update(key).digest('hex')

/** How it is called in receipts and in `actions`, one for each key. */
export function namesOf(subject: Subject): string[] {
  if ('tenant' in subject) return [`tenants/${subject.tenant}`]
  return [...new Set(subject.keys)].map((key) => `sha256:${hashOfKey(key)}`).sort()
}
