import type { Progress } from '../schemas/records.ts'
import { progress } from '../schemas/topics.ts'
import { openTable, type TableOptions } from '../streams/table.ts'
import { generationOf, spaceOfCollection } from './collections.ts'

/** What all collections, of every space, have published of their progress, followed. */
export interface PublishedProgress {
  /** Of all collections, what counts about a partition. */
  of(partition: number): readonly Progress[]
  /** What lies last about a partition of the collection is older than what counts: compaction would keep only that. */
  isTalkedOver(collection: string, partition: number): boolean
  /** Resolves when all that was in `progress` at the time of the call is known. */
  sync(): Promise<void>
  close(): Promise<void>
}

export async function followProgress(
  options: Pick<TableOptions<Progress>, 'broker' | 'serde' | 'scope' | 'failed'>,
  changed: () => void,
): Promise<PublishedProgress> {
  const { scope } = options
  const isOurs = (collection: string): boolean =>
    generationOf(collection, scope) !== null || spaceOfCollection(collection, scope.prefix) !== null
  const published = new Map<string, Progress>()
  const talkedOver = new Set<string>()
  const table = await openTable(progress, {
    ...options,
    changed(key, value) {
      talkedOver.delete(key)
      if (value === undefined) published.delete(key)
      else if (isOurs(value.collection)) published.set(key, value)
      changed()
    },
    ignored: (key) => talkedOver.add(key),
  })
  return {
    of: (partition) => [...published.values()].filter((each) => each.partition === partition),
    isTalkedOver: (collection, partition) => talkedOver.has(`${collection}/${partition}`),
    sync: () => table.sync(),
    close: () => table.close(),
  }
}
