import type { StateName } from './states.ts'

/** Where a stage wants to go on. */
export interface Place {
  readonly offset: number
  /** Everything that was written before this, ms since 1970, lies before the offset; 0: not known. */
  readonly at: number
  /** What it is called when the log does not hold the place any more. Default: offset-out-of-range. */
  readonly gone?: StateName
  /** Whatever its age, the stage cannot know what it has not seen: the watermark is held, and the partition compared. */
  readonly hold?: { readonly state: StateName; readonly reason: string }
}

export interface Log {
  readonly start: number
  readonly end: number
}

/** Where it begins. */
export interface Start {
  readonly offset: number
  readonly at: number
  /** Its watermark stays until the partition was compared. */
  readonly hold: { readonly state: StateName; readonly reason: string } | null
  /** What nobody will ever handle. */
  readonly lost: { readonly offsets: number; readonly reason: string } | null
}

/**
 * `compared`: what was missed is found by comparing the partition with the truth. Of the others a `transactional` stage never
 * hands on again what it has handled, or old versions would follow newer ones; for the rest a repetition changes nothing.
 */
export type StartKind = 'compared' | 'transactional' | 'repeatable'

/** A place that the log does not hold is never passed over in silence (guard K14). Pure. */
export function startAt(place: Place | null, { start, end }: Log, kind: StartKind): Start {
  if (place === null) return { offset: start, at: 0, hold: null, lost: null }
  const { offset, at, hold = null, gone = 'offset-out-of-range' } = place
  if (offset >= start && offset <= end) return { offset, at, hold, lost: null }
  const from = offset > end && kind === 'transactional' ? end : start
  const reason =
    offset > end
      ? `${offset} is behind the end of the log, ${end}, which was cut; it goes on at ${from}`
      : `${offset} is not in the log any more, which begins at ${start}: ${start - offset} offsets were removed before they were handled`
  if (kind === 'compared') return { offset: from, at: 0, hold: hold ?? { state: gone, reason }, lost: null }
  return { offset: from, at: 0, hold: null, lost: { offsets: Math.max(0, start - offset), reason } }
}

/** How long a log keeps deletions: whoever is no further behind sees all of them; null: it is not compacted. */
export function deletionsKeptMs(config: Readonly<Record<string, string>>): number | null {
  if (!config['cleanup.policy']?.includes('compact')) return null
  const lagMs = Number(config['min.compaction.lag.ms'] ?? 0)
  const keptMs = Number(config['delete.retention.ms'] ?? DELETE_RETENTION_MS)
  return lagMs + keptMs
}

/**
 * Whether a deletion may be gone from the log that the stage has not seen. `firstAt`: when the record at the very place was
 * written, if there is one; everything behind it is younger.
 */
export function tombstonesMayBeLost({
  at,
  firstAt,
  keptMs,
  now,
}: {
  readonly at: number
  readonly firstAt: number | null
  readonly keptMs: number
  readonly now: number
}): boolean {
  return Math.max(at, firstAt ?? 0) < now - keptMs
}

/** Kafka's own default. */
const DELETE_RETENTION_MS = 86_400_000
