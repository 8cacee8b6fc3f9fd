import { type ControlRecords, collectionKey, servingKey, spaceKey } from '../../processors/collections.ts'
import { followProgress, type PublishedProgress } from '../../processors/published-progress.ts'
import type { Control } from '../../schemas/records.ts'
import { Changes } from '../../streams/changes.ts'
import type { Platform } from '../platform.ts'

/** What is decided for the platform and what every collection has published, followed once for all spaces of a worker. */
export interface Followed {
  /** A record of `control`. */
  get(key: string): Control | undefined
  /** What `control` says of spaces, collections, and which of them answers, now. */
  decided(): ControlRecords
  readonly published: PublishedProgress
  /** Resolves at the next change of what is decided or published, or when the signal is aborted. */
  changed(signal: AbortSignal): Promise<void>
  /** Told after each change of what is decided. Answers what ends that. */
  listen(listener: () => void): () => void
  /** Resolves when all that was in `control` at the time of the call is known. */
  sync(): Promise<void>
  close(): Promise<void>
}

export async function followPlatform(
  { broker, serde, scope, outside }: Pick<Platform, 'broker' | 'serde' | 'scope' | 'outside'>,
  failed: (error: Error) => void,
): Promise<Followed> {
  const changes = new Changes()
  const listeners = new Set<() => void>()
  const decided = new Map<string, Control>()
  const published = await followProgress({ broker, serde, scope, failed }, () => changes.tell())
  const table = await outside.control(scope, {
    failed,
    changed(key, value) {
      if (!isOfSpaces(key)) return
      if (value === undefined) decided.delete(key)
      else decided.set(key, value)
      changes.tell()
      for (const listener of listeners) listener()
    },
  })
  await table.sync()
  return {
    get: table.get,
    decided: () => decided,
    published,
    changed: (signal) => changes.next(signal),
    listen(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
    sync: table.sync,
    async close() {
      await Promise.all([table.close(), published.close()])
    },
  }
}

/** Keys and quotas are many, and others read them. */
const isOfSpaces = (key: string): boolean =>
  key === servingKey || key.startsWith(spaceKey('')) || key.startsWith(collectionKey(''))
