import type { Clock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import { type AuditReport, audit } from './audit.ts'
import type { Finding } from './audit-partition.ts'
import type { AuditWorld, Pace } from './world.ts'

export interface ContinuousOptions {
  /** As it is now: what is audited may change, and so may its epoch. */
  world(): Promise<AuditWorld>
  /** The partitions that are this process's to audit, now. */
  owned(): readonly number[]
  /** From the beginning of one audit of a partition to that of the next, ms. */
  readonly everyMs: number
  readonly repair: boolean
  /** Documents derived again in one audit of a partition. */
  readonly repairsMax: number
  readonly pace: Pace
  readonly clock: Clock
  readonly signal: AbortSignal
  found(finding: Finding): void
  audited(partition: number, report: AuditReport): void
  /** An audit ended halfway, and is made again later. */
  failed(partition: number, error: unknown): void
}

/** Audits the partitions that are ours, one at a time, each so often, until it is told to stop. Never rejects. */
export async function auditContinuously(options: ContinuousOptions): Promise<void> {
  const { world, owned, everyMs, pace, clock, signal, repair, repairsMax } = options
  const dueAt = new Map<number, number>()
  // Seen before as well, they are nobody's: each partition was audited meanwhile.
  let strays: ReadonlySet<string> = new Set()
  while (!signal.aborted) {
    const next = nextOf(owned(), dueAt, clock.now(), Math.min(everyMs, FIRST_AFTER_MS))
    if (next === null || dueAt.get(next)! > clock.now()) {
      await clock.wait(Math.min(everyMs, LOOK_EVERY_MS), signal)
      continue
    }
    const began = clock.now()
    try {
      const report = await audit(await world(), {
        partitions: [next],
        repair,
        bounds: { repairsMax },
        pace,
        signal,
        strays: (id) => next === 0 && strays.has(id),
        found: options.found,
      })
      if (next === 0) strays = new Set(report.strays)
      options.audited(next, report)
      dueAt.set(next, report.behind.length > 0 ? clock.now() + AGAIN_AFTER_MS : began + everyMs)
    } catch (error) {
      if (signal.aborted) return
      options.failed(next, error)
      dueAt.set(next, clock.now() + (error instanceof Retry ? AGAIN_AFTER_MS : everyMs))
    }
  }
}

/** The one that is due first. One that is new to us is due soon, and one that is another's now is forgotten. */
export function nextOf(
  owned: readonly number[],
  dueAt: Map<number, number>,
  now: number,
  firstAfterMs: number,
): number | null {
  for (const partition of dueAt.keys()) if (!owned.includes(partition)) dueAt.delete(partition)
  for (const partition of owned) if (!dueAt.has(partition)) dueAt.set(partition, now + firstAfterMs)
  const [first] = [...dueAt].sort(([a, dueA], [b, dueB]) => dueA - dueB || a - b)
  return first?.[0] ?? null
}

/** Whoever has just started, or been given a partition, has other things to do. */
const FIRST_AFTER_MS = 60_000
const AGAIN_AFTER_MS = 60_000
const LOOK_EVERY_MS = 1_000

/** So many points a second, and none while `busy`. Rejects when the signal is aborted. */
export function lowRate(
  pointsPerSecondMax: number,
  { clock, busy, signal }: { clock: Clock; busy: () => boolean; signal: AbortSignal },
): Pace {
  return async (points) => {
    await clock.wait((points / pointsPerSecondMax) * 1_000, signal)
    for (let waited = 0; busy() && waited < BUSY_MS_MAX && !signal.aborted; waited += LOOK_EVERY_MS)
      await clock.wait(LOOK_EVERY_MS, signal)
    signal.throwIfAborted()
  }
}

/** After that long a rush is the daily state, and the audit goes on at its low rate beside it. */
const BUSY_MS_MAX = 60_000
