import { compareFences } from '../processors/fence.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { rollMs } from './erasure-bounds.ts'
import { type KeptLog, type Latest, lives } from './erasure-log.ts'
import type { Held, Look } from './erasure-look.ts'

/** What an erasure has done so far in this run, and where it counts. */
export interface Course {
  readonly partitions: number
  readonly epoch: number
  readonly now: number
  /** Keys whose deletion this run wrote. */
  readonly sent: ReadonlySet<string>
  /** Receipts are erased themselves in the end: then there is none to wait for. */
  readonly receiptsErased: boolean
}

export interface Place {
  readonly key: string
  readonly partition: number
}

/** Where deletions are to be written to `documents`: pure. Nothing where one is on its way already. */
export function deletionsIn(keys: readonly string[], look: Look, course: Course): Place[] {
  const { documents, vectors, configs, held, unfollowed } = look
  const roll = rollMs(configs.get(documents.topic) ?? {})
  return keys.flatMap((key) => {
    const kept = documents.keys.get(key)
    const living = [...(kept?.latest ?? [])].flatMap(([partition, { deletes }]) =>
      deletes ? [] : [{ key, partition }],
    )
    if (living.length > 0) return living
    const home = { key, partition: partitionOf(key, course.partitions) }
    const own = kept?.latest.get(home.partition)
    const isShown = [...held].some(([collection, index]) => isHeld(index.get(key), unfollowed.has(collection)))
    if (own === undefined) return isShown || vectors.some(({ keys: of }) => lives(of.get(key))) ? [home] : []
    // Kafka begins a new segment, and compacts the one before, only when something is written.
    const valuesLeft = [documents, ...vectors].some(({ keys: of }) => (of.get(key)?.values ?? 0) > 0)
    return valuesLeft && !course.sent.has(key) && own.timestamp + roll <= course.now ? [home] : []
  })
}

/** Where nobody follows, an entry goes on saying what it said when its chunks are removed. */
const isHeld = (held: Held | undefined, unfollowed: boolean): boolean =>
  held !== undefined && (held.chunks.length > 0 || (held.manifest !== null && !held.manifest.deleted && !unfollowed))

/** The deletion that counts: the last record of the key where it belongs. */
export function deletionOf(key: string, { documents }: Pick<Look, 'documents'>, partitions: number): Latest | null {
  const own = documents.keys.get(key)?.latest.get(partitionOf(key, partitions))
  return own?.deletes ? own : null
}

/** What is not as it must be yet, in words; empty when all is erased that can be at once. Pure. */
export function openIn(keys: readonly string[], look: Look, course: Course): string[] {
  const { documents, vectors, held, receipts, behind, unfollowed } = look
  const counted = (what: (count: number) => string, isOpen: (key: string) => boolean): string[] => {
    const count = keys.filter(isOpen).length
    return count === 0 ? [] : [what(count)]
  }
  return [
    ...(behind > 0 ? [`ingest-documents has ${behind} records of them before it`] : []),
    ...counted(
      (count) => `${count} of them were written to ${documents.topic} again; stop who does, and run this again`,
      (key) => lives(documents.keys.get(key)),
    ),
    ...vectors.flatMap((log) =>
      counted(
        (count) => `${log.topic} has no deletion of ${count} yet`,
        (key) => lives(log.keys.get(key)),
      ),
    ),
    ...[...held].flatMap(([collection, index]) =>
      counted(
        (count) => `collection ${collection} has not deleted ${count} yet`,
        (key) =>
          !(unfollowed.has(collection)
            ? index.get(key)?.chunks.length === 0
            : isSettled(key, index.get(key), look, course)),
      ),
    ),
    ...counted(
      (count) => `${count} have no receipt of their deletion yet`,
      (key) => {
        const deletion = deletionOf(key, look, course.partitions)
        const receipt = receipts.get(key)
        if (deletion === null || course.receiptsErased) return false
        return receipt === undefined
          ? course.sent.has(key)
          : receipt.epoch === course.epoch && receipt.offset < deletion.offset
      },
    ),
  ]
}

/** The collection has applied the deletion; where there is none in `documents`, it shows nothing. */
function isSettled(key: string, held: Held | undefined, look: Look, { partitions, epoch, sent }: Course): boolean {
  const { manifest = null, chunks = [] } = held ?? {}
  if (chunks.length > 0) return false
  if (manifest === null) return !sent.has(key)
  const deletion = deletionOf(key, look, partitions)
  const isApplied =
    deletion === null || compareFences(manifest.fence, { epoch, offset: deletion.offset, derivation: 0 }) >= 0
  return manifest.deleted && isApplied
}

/** No log names the key any more: nothing that is still to come can bring it back, so that its entry is not needed. */
export function isForgotten(key: string, { documents, vectors, redo, sources }: Look): boolean {
  const isIn = ({ keys }: KeptLog): boolean => keys.has(key)
  return ![documents, ...vectors, redo, ...sources].some(isIn)
}
