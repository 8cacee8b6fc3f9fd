import type { Progress } from '../../schemas/records.ts'
import type { Platform } from '../platform.ts'
import { type Collections, type Followable, type FreshnessFollower, followFreshness } from './freshness-follower.ts'

/**
 * The freshness of the present epoch: when a new `documents` is accepted, what was known of the former is forgotten, and
 * tokens of it are expired. While the topic is not the accepted one, nothing is complete.
 */
export async function followPresentEpoch(
  platform: Platform,
  what: Followable,
  serving: Collections,
  failed: (error: Error) => void,
): Promise<FreshnessFollower> {
  let epoch = platform.epoch
  let current = await followFreshness(platform, what, serving, failed)
  /** With what ends each. */
  const listeners = new Map<(progress: Progress) => void, () => void>()
  let closed = false
  let turning = Promise.resolve()

  const turn = async (): Promise<void> => {
    if (closed || platform.epoch === epoch) return
    const former = current
    epoch = platform.epoch
    current = await followFreshness(platform, what, serving, failed)
    for (const listener of listeners.keys()) listeners.set(listener, current.progressed(listener))
    await former.close()
  }
  platform.epochs.changed(() => {
    turning = turning.then(turn).catch(failed)
  })

  return {
    asOf(collection) {
      const asOf = current.asOf(collection)
      return { ...asOf, complete: asOf.complete && platform.epochs.refusal === null }
    },
    sources: () => current.sources(),
    reached: (...wish) => current.reached(...wish),
    after: (...wish) => current.after(...wish),
    within: (...wish) => current.within(...wish),
    wrote: (...wrote) => current.wrote(...wrote),
    progressed(listener) {
      listeners.set(listener, current.progressed(listener))
      return () => {
        listeners.get(listener)?.()
        listeners.delete(listener)
      }
    },
    unheardMs: () => current.unheardMs(),
    async close() {
      closed = true
      await turning
      await current.close()
    },
  }
}
