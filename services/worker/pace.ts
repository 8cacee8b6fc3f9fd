import type { Clock } from '../../streams/clock.ts'

/** Lets so many records a second through, over all who ask, in the order in which they ask. */
export function pacer(
  perSecondMax: number,
  { now, wait }: Clock,
): (records: number, signal: AbortSignal) => Promise<void> {
  let free = 0
  return async (records, signal) => {
    const at = Math.max(free, now())
    free = at + (records / perSecondMax) * 1_000
    // Who asked before has the time up to `at`; what was saved up while nobody asked is not made up for.
    if (at > now()) await wait(at - now(), signal)
  }
}
