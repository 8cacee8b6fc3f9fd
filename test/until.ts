import { setTimeout as delay } from 'node:timers/promises'

/** Looks again and again until the condition holds. Rejects after `msMax` with what was waited for and what was last seen. */
export async function until(
  what: string,
  condition: () => Promise<boolean | string> | boolean | string,
  msMax = 30_000,
  lookEveryMs = LOOK_EVERY_MS,
): Promise<void> {
  const deadline = performance.now() + msMax
  for (;;) {
    const seen = await condition()
    if (seen === true) return
    if (performance.now() > deadline)
      throw new Error(`not within ${msMax} ms: ${what}${typeof seen === 'string' ? `; last seen: ${seen}` : ''}`)
    await delay(lookEveryMs)
  }
}

const LOOK_EVERY_MS = 20
