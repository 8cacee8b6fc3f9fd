import { type Client, FreshetError, type PublishItem } from '../client/client.ts'
import { systemClock } from '../streams/clock.ts'

/** What became of an item: it can be found (or is gone), or why not. `unconfirmed`: it may have been written or not. */
export type Ending = { readonly is: 'published' } | { readonly is: 'rejected' | 'unconfirmed'; readonly reason: string }

export interface Publishing<T> {
  /** Called before items are published for the first time: what happens to them then may never be known. */
  sending?(): void
  done(item: T, ending: Ending): void
  /** Called now and then, after some items are done. */
  saved(): void
}

/**
 * Publishes all items in batches, several under way at once, and resolves when each can be found. Items of one id stay in
 * order: a batch holds an id once, and the next batch with it waits. A batch that is not full goes when no item comes for a moment.
 */
export async function publishAll<T extends { readonly item: PublishItem }>(
  client: Client,
  items: AsyncIterable<T>,
  { done, saved, sending }: Publishing<T>,
): Promise<void> {
  const under = new Set<Promise<void>>()
  const busy = new Map<string, Promise<void>>()
  const failed = deferred()
  let batch: T[] = []
  let bytes = 0

  const send = async (): Promise<void> => {
    const sent = batch
    if (sent.length === 0) return
    batch = []
    bytes = 0
    sending?.()
    const before = sent.flatMap(({ item }) => busy.get(item.id) ?? [])
    const work = Promise.all(before)
      .then(() => publishBatch(client, sent, done))
      .finally(saved)
      .finally(() => {
        under.delete(work)
        for (const { item } of sent) if (busy.get(item.id) === work) busy.delete(item.id)
      })
    work.catch(failed.reject)
    for (const { item } of sent) busy.set(item.id, work)
    under.add(work)
    if (under.size >= BATCHES_UNDER_WAY_MAX) await Promise.race([failed.promise, ...under])
  }

  const iterator = items[Symbol.asyncIterator]()
  for (;;) {
    const coming = iterator.next()
    const next = await Promise.race([failed.promise, batch.length > 0 ? soon(coming) : coming])
    if (next === null) await send()
    const result = next ?? (await Promise.race([failed.promise, coming]))
    if (result.done) break
    const each = result.value
    const size = 'text' in each.item ? Buffer.byteLength(each.item.text) * JSON_GROWTH : 0
    const twice = batch.some(({ item }) => item.id === each.item.id)
    if (twice || batch.length >= BATCH_ITEMS_MAX || (batch.length > 0 && bytes + size > BATCH_BYTES_MAX)) await send()
    batch.push(each)
    bytes += size
  }
  await send()
  await Promise.all(under)
}

/** What comes, or null if it does not within a moment. */
function soon<R>(coming: Promise<R>): Promise<R | null> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(null), LINGER_MS)
    coming.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

/** Rejects with the first failure; nobody need wait for it. */
function deferred(): { promise: Promise<never>; reject: (error: unknown) => void } {
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<never>((_, reject_) => {
    reject = reject_
  })
  promise.catch(() => {})
  return { promise, reject }
}

// Small batches, so that progress is seen, and enough of them for the stages to have work.
const BATCHES_UNDER_WAY_MAX = 16
const BATCH_ITEMS_MAX = 8
const BATCH_BYTES_MAX = 256 * 1024
/** Quotes and line breaks take two bytes in JSON. */
const JSON_GROWTH = 1.1
/** Of a stream that pauses, what has come is not to wait for the rest. */
const LINGER_MS = 100
const WAIT_MS = 60_000
const RETRY_AFTER_MS = 1_000
/** Publishing what was written already only writes it once more. But what breaks each connection is not to do so for ever. */
const ATTEMPTS_IN_DOUBT_MAX = 5

async function publishBatch<T extends { readonly item: PublishItem }>(
  client: Client,
  batch: readonly T[],
  done: Publishing<T>['done'],
): Promise<void> {
  const doubts: FreshetError[] = []
  try {
    const token = await publishInTime(client, batch, doubts)
    const outcomes = new Map<string, Ending>()
    for (const { partition, offset, outcome, reason } of await waitFor(client, token))
      outcomes.set(
        `${partition}/${offset}`,
        outcome === 'rejected' ? { is: 'rejected', reason: reason ?? 'rejected' } : published,
      )
    // One document each: then whose the outcome is, is plain. Of several, a rejection is found by publishing them one by one.
    const rejections = [...outcomes.values()].filter(({ is }) => is === 'rejected')
    if (rejections.length === 0 || batch.length === 1) for (const each of batch) done(each, rejections[0] ?? published)
    else for (const each of batch) await publishBatch(client, [each], done)
  } catch (error) {
    const isRefused = error instanceof FreshetError && (error.code === 'rejected' || error.code === 'bad_request')
    if (isRefused) {
      // All or nothing: the others go through without the one that is refused.
      if (batch.length > 1) for (const each of batch) await publishBatch(client, [each], done)
      else done(batch[0]!, { is: 'rejected', reason: error.message.replace(/^documents\.0 \([^)]*\): /, '') })
      return
    }
    const last = doubts.at(-1)
    if (last !== undefined) for (const each of batch) done(each, { is: 'unconfirmed', reason: last.message })
    // One connection after another has ended with it: others may go through.
    if (last === undefined || error !== last || last.code !== 'unconfirmed') throw error
  }
}

const published: Ending = { is: 'published' }

/** Over a quota one comes back when one was told to. What is in doubt is published again, and noted in `doubts`. */
async function publishInTime(
  client: Client,
  batch: readonly { readonly item: PublishItem }[],
  doubts: FreshetError[],
): Promise<string> {
  for (;;) {
    try {
      const { token } = await client.publish(batch.map(({ item }) => item))
      doubts.length = 0
      return token
    } catch (error) {
      if (!(error instanceof FreshetError)) throw error
      const isInDoubt = error.code === 'unconfirmed' || error.code === 'unavailable'
      if (isInDoubt && doubts.push(error) >= ATTEMPTS_IN_DOUBT_MAX) throw error
      if (!isInDoubt && error.code !== 'rate_limited') throw error
      // The client itself waits for its next connection.
      if (error.code !== 'unconfirmed') await systemClock.wait(error.retryAfterMs ?? RETRY_AFTER_MS)
    }
  }
}

/** As long as it takes: the index may have much before it. */
async function waitFor(client: Client, token: string): Promise<Awaited<ReturnType<Client['wait']>>['documents']> {
  for (;;) {
    try {
      return (await client.wait(token, { timeoutMs: WAIT_MS })).documents
    } catch (error) {
      if (!(error instanceof FreshetError) || error.code !== 'timeout') throw error
    }
  }
}
