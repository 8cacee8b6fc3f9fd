import { setTimeout as delay } from 'node:timers/promises'
import { Retry } from '../../streams/errors.ts'
import { type Backlog, openBacklog } from '../backlog.ts'
import type { Platform } from '../platform.ts'
import { until } from '../until.ts'

export interface Recovery {
  /** Seconds until a watermark moved, or until there was nothing to do. */
  readonly resumed: number
  /** Seconds until everything that was in the logs at the beginning is in the index. */
  readonly caughtUp: number
}

/** Watches from now on. Rejects when it takes longer than `msMax`. */
export async function watchRecovery(platform: Platform, msMax: number): Promise<Recovery> {
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1_000
  const backlog = await opened(platform, msMax)
  try {
    const ends = await backlog.ends()
    const atBegin = backlog.left(ends).join(', ')
    let resumed: number | null = null
    await until(
      'all that was in the logs is in the index',
      () => {
        const left = backlog.left(ends).join(', ')
        if (left !== atBegin || left === '') resumed ??= seconds()
        return left === '' || left
      },
      msMax,
    )
    return { resumed: resumed ?? seconds(), caughtUp: seconds() }
  } finally {
    await backlog.close()
  }
}

/** A Kafka that has just come back may still be choosing its leaders: that is part of the recovery. */
async function opened(platform: Platform, msMax: number): Promise<Backlog> {
  const until = performance.now() + msMax
  for (;;) {
    try {
      return await openBacklog(platform)
    } catch (error) {
      if (!(error instanceof Retry) || performance.now() > until) throw error
      await delay(error.retryAfterMs)
    }
  }
}
