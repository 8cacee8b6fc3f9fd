import { systemClock } from '../streams/clock.ts'
import { Retry, reasonOf } from '../streams/errors.ts'
import type { StateName, States } from '../streams/states.ts'

/**
 * Asks every so often whether a part of the world answers, and raises its state while it does not: so that a role without
 * work to do says so too, and sees it come back. Answers what ends it.
 */
export function probe(
  states: States,
  { state, subject, ask }: { state: StateName; subject: string; ask(): Promise<unknown> },
  everyMs = PROBE_EVERY_MS,
): () => Promise<void> {
  const closed = new AbortController()
  void (async () => {
    for (let failures = 0; !closed.signal.aborted; await systemClock.wait(everyMs, closed.signal)) {
      try {
        await ask()
        failures = 0
        states.clear(state, subject)
      } catch (error) {
        if (closed.signal.aborted || !(error instanceof Retry)) continue
        // Another state is another probe's to tell.
        if (error.state !== null && error.state !== state) continue
        if (++failures > 1) states.raise(state, subject, reasonOf(error))
      }
    }
  })()
  return async () => closed.abort()
}

const PROBE_EVERY_MS = 2_000
