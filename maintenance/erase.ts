import { vectors } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { nameIn } from '../streams/topic.ts'
import { lives } from './erasure-log.ts'
import { type Looking, openLook } from './erasure-look.ts'
import { type Course, deletionOf, deletionsIn, isForgotten, openIn } from './erasure-plan.ts'
import { type ErasureReceipt, receiptOf } from './erasure-receipt.ts'
import { hideLetters, refuseTenant, writeActions } from './erasure-tenant.ts'
import { checkSubject, type EraseWorld, namesOf, type Subject } from './erasure-world.ts'

export interface EraseOptions {
  /** How long the pipeline is waited for. */
  readonly timeoutMs: number
  /** Look, and change nothing. */
  readonly dryRun?: boolean
  /** Told what is still open, in words. */
  readonly progressed?: (open: readonly string[]) => void
  readonly signal?: AbortSignal
}

/**
 * Erases documents, or all of a tenant, wherever they lie, and answers what became of each place. It remembers nothing: killed
 * anywhere, the same erasure finds what is left to do in the logs and collections, and ends with the same receipt.
 */
export async function erase(subject: Subject, world: EraseWorld, options: EraseOptions): Promise<ErasureReceipt> {
  checkSubject(subject)
  const { signal, dryRun = false } = options
  if ('tenant' in subject && !dryRun) await refuseTenant(subject.tenant, world)
  const look = await openLook(subject, world)
  try {
    await look.again(signal)
    const sent = new Set<string>()
    const { scope, partitions, epoch, clock } = world
    const course = (receiptsErased = false): Course => ({ partitions, epoch, now: clock.now(), sent, receiptsErased })
    if (!dryRun) {
      await writeActions(namesOf(subject), `${look.keys().length} keys`, world)
      await hideLetters(look.letterIds, world)
      await follow(look, sent, course, world, options)
      await removeWhereNobodyFollows(look, world)
      await forget(look, world)
      await look.again(signal)
      await hideLetters(look.letterIds, world)
    }
    const keys = look.keys()
    return receiptOf(keys, look, { scope, partitions, now: clock.now(), open: openIn(keys, look, course(!dryRun)) })
  } finally {
    await look.close()
  }
}

/** Writes the deletions, also of what comes out of the sources meanwhile, until every collection and receipt says that they are done. */
async function follow(
  look: Looking,
  sent: Set<string>,
  course: () => Course,
  world: EraseWorld,
  { timeoutMs, progressed, signal }: EraseOptions,
): Promise<void> {
  const { clock, send } = world
  const deadline = clock.now() + timeoutMs
  let tookMs = 0
  for (;;) {
    const keys = look.keys()
    const deletions = deletionsIn(keys, look, course())
    for (let first = 0; first < deletions.length; first += SENT_AT_ONCE) {
      const some = deletions.slice(first, first + SENT_AT_ONCE)
      await send(some.map(({ key, partition }) => ({ topic: look.documents.topic, partition, key, value: null })))
      for (const { key } of some) sent.add(key)
    }
    if (deletions.length > 0) await look.again(signal)
    const open = openIn(look.keys(), look, course())
    progressed?.(open)
    if (open.length === 0 || clock.now() >= deadline) return
    // A look at many documents takes its time: no more than half of it is spent looking.
    await clock.wait(Math.max(POLL_MS, tookMs), signal)
    signal?.throwIfAborted()
    const began = clock.now()
    await look.again(signal)
    tookMs = clock.now() - began
  }
}

const SENT_AT_ONCE = 500
const POLL_MS = 500

/**
 * A space without a worker, a collection that is not kept any more: nobody would ever delete there. The deletion that goes into
 * `vectors` is the one that the embed stage would write, and what is removed is what it deletes, so that whoever follows later is not misled.
 */
async function removeWhereNobodyFollows(
  look: Looking,
  { scope, spaces, indexes, partitions, epoch, send }: EraseWorld,
): Promise<void> {
  const records: NewRecord[] = []
  for (const [i, log] of look.vectors.entries())
    for (const [key, kept] of log.keys) {
      const deletion = deletionOf(key, look, partitions)
      if (deletion === null || !lives(kept)) continue
      for (const [partition, { deletes }] of kept.latest) {
        if (deletes) continue
        const headers = { position: `${partition}:${deletion.offset}:${deletion.timestamp}`, epoch: String(epoch) }
        records.push({ topic: nameIn({ ...scope, space: spaces[i]! }, vectors), partition, key, value: null, headers })
      }
    }
  // Receipts last: the one of the deletion is written after it is done.
  for (const [key, kept] of look.indexed.keys)
    for (const [partition, { deletes }] of kept.latest)
      if (!deletes) records.push({ topic: look.indexed.topic, partition, key, value: null })
  for (let first = 0; first < records.length; first += SENT_AT_ONCE)
    await send(records.slice(first, first + SENT_AT_ONCE))
  for (const index of indexes) {
    const held = look.held.get(index.collection)
    const ids = [...(held ?? [])].flatMap(([key, { chunks }]) =>
      deletionOf(key, look, partitions) === null ? [] : chunks,
    )
    if (ids.length > 0) await index.remove(ids)
  }
}

/** Entries whose key no log names any more. */
async function forget(look: Looking, { indexes }: EraseWorld): Promise<void> {
  for (const index of indexes) {
    const manifests = [...(look.held.get(index.collection) ?? [])].flatMap(([key, { manifest }]) =>
      manifest !== null && isForgotten(key, look) ? [manifest] : [],
    )
    if (manifests.length > 0) await index.forget(manifests)
  }
}
