/** Time is an argument: the runtime sees the world's clock, tests a virtual one. */
export interface Clock {
  /** ms since 1970. */
  now(): number
  /** Resolves after the time, or at once when the signal is aborted. Never rejects. */
  wait(ms: number, signal?: AbortSignal): Promise<void>
}

export const systemClock: Clock = {
  now: Date.now,
  wait(ms, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve()
      const done = () => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal?.addEventListener('abort', done)
    })
  },
}

/** A clock that stands still until it is told to go on. */
export interface VirtualClock extends Clock {
  advance(ms: number): void
  /** Time of the earliest wait that is not over; null if nobody waits. */
  readonly nextAt: number | null
}

export function virtualClock(start = 1_700_000_000_000): VirtualClock {
  let time = start
  const sleepers = new Set<{ at: number; wake: () => void }>()
  return {
    now: () => time,
    wait(ms, signal) {
      return new Promise((resolve) => {
        if (signal?.aborted) return resolve()
        const sleeper = {
          at: time + ms,
          wake() {
            sleepers.delete(sleeper)
            signal?.removeEventListener('abort', sleeper.wake)
            resolve()
          },
        }
        sleepers.add(sleeper)
        signal?.addEventListener('abort', sleeper.wake)
      })
    },
    advance(ms) {
      time += ms
      for (const sleeper of [...sleepers].sort((a, b) => a.at - b.at)) if (sleeper.at <= time) sleeper.wake()
    },
    get nextAt() {
      return sleepers.size === 0 ? null : Math.min(...[...sleepers].map(({ at }) => at))
    },
  }
}
