/** Resolves when the time is over or the signal is aborted. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = deferred<void>()
  const timer = setTimeout(resolve, Math.min(ms, TIMER_MS_MAX))
  const aborted = () => resolve()
  signal.addEventListener('abort', aborted)
  if (signal.aborted) resolve()
  return promise.finally(() => {
    clearTimeout(timer)
    signal.removeEventListener('abort', aborted)
  })
}

/** `Promise.withResolvers` is not in Node 18. */
export function deferred<T>(): { promise: Promise<T>; resolve(value: T): void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((resolve_) => {
    resolve = resolve_
  })
  return { promise, resolve }
}

/** Longer ones are no timers. */
const TIMER_MS_MAX = 2_147_483_647

/** A page does not see pings, and a network that is gone says nothing: who has heard nothing for a while asks, and then gives up. */
export function watchSilence(everyMs: unknown, { ask, dead }: { ask(): void; dead(): void }) {
  let silent = 0
  const timer = setInterval(
    () => {
      silent++
      if (silent >= 3) dead()
      else ask()
    },
    typeof everyMs === 'number' && everyMs >= 100 ? everyMs : HEARTBEAT_MS,
  )
  return {
    heard() {
      silent = 0
    },
    end: () => clearInterval(timer),
  }
}

/** Where the server does not say. */
const HEARTBEAT_MS = 25_000
