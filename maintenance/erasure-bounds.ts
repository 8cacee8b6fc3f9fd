/** Until when Kafka keeps what cannot be taken out of a log: pure, from the topic's own settings. */
export interface Bound {
  /** ms since 1970; null: there is no bound. */
  readonly at: number | null
  /** What it rests on; where there is none, what would give one. */
  readonly why: string
}

export type TopicConfig = Readonly<Record<string, string>>

/**
 * A log that is kept by time: by when a record is gone that was written no later than `at`. Kafka deletes whole segments, by the
 * latest time that a record of theirs bears, which a producer may set ahead unless the broker stamps them.
 */
export function goneByTime(config: TopicConfig, at: number): Bound {
  const retention = number(config, 'retention.ms', 7 * DAY_MS)
  const segment = number(config, 'segment.ms', 7 * DAY_MS)
  const stamped = config['message.timestamp.type'] === 'LogAppendTime'
  const ahead = stamped ? 0 : number(config, 'message.timestamp.after.max.ms', HOUR_MS)
  if (retention < 0) return { at: null, why: 'retention.ms is -1: set how long the topic keeps its records' }
  if (ahead > NEVER_MS)
    return { at: null, why: 'message.timestamp.after.max.ms is not set: a record may bear any time; set it' }
  const parts = [`segment.ms ${inDays(segment)}`, `retention.ms ${inDays(retention)}`]
  if (ahead > 0) parts.push(`message.timestamp.after.max.ms ${inDays(ahead)}`)
  return { at: at + segment + retention + ahead + BROKER_MS, why: parts.join(' + ') }
}

/**
 * A compacted log: by when a value is gone that a record of `at` took the place of. Kafka never compacts the segment that it writes
 * to, and begins another one only when something is written: in a partition where nothing is written it may take longer.
 */
export function goneByCompaction(config: TopicConfig, at: number): Bound {
  const most = number(config, 'max.compaction.lag.ms', Number.POSITIVE_INFINITY)
  if (most > NEVER_MS)
    return { at: null, why: 'max.compaction.lag.ms is not set: where little changes nothing is compacted; set it' }
  const least = number(config, 'min.compaction.lag.ms', 0)
  const lag = Math.max(most, rollMs(config) + least)
  return { at: at + lag + BROKER_MS, why: `max.compaction.lag.ms ${inDays(most)}` }
}

/** A compacted log: by when the deletion of `at`, which holds the key alone, is gone too. */
export function deletionGone(config: TopicConfig, at: number): Bound {
  const { at: compacted } = goneByCompaction(config, at)
  const kept = number(config, 'delete.retention.ms', DAY_MS)
  if (compacted === null) return goneByCompaction(config, at)
  // It is counted from the first compaction that met it, and the next one takes it away.
  const next = goneByCompaction(config, compacted + kept)
  return { at: next.at, why: `delete.retention.ms ${inDays(kept)} between two compactions` }
}

/** How old a segment may be before the next record that is written begins another one. */
export const rollMs = (config: TopicConfig): number =>
  Math.min(number(config, 'segment.ms', 7 * DAY_MS), number(config, 'max.compaction.lag.ms', Number.POSITIVE_INFINITY))

/** The latest of all; none where one has none. */
export function latestOf(bounds: readonly Bound[]): Bound | null {
  return bounds.find(({ at }) => at === null) ?? bounds.toSorted((a, b) => b.at! - a.at!)[0] ?? null
}

function number(config: TopicConfig, name: string, otherwise: number): number {
  const value = Number(config[name] ?? otherwise)
  return Number.isNaN(value) ? otherwise : value
}

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
/** Kafka's word for never is 2^63 - 1; what is longer than this is no promise either. */
const NEVER_MS = 3_650 * DAY_MS
/** By default a broker looks every 5 minutes what has run out, and deletes a file 1 minute later; a compaction takes its time. */
const BROKER_MS = HOUR_MS

const inDays = (ms: number): string =>
  ms >= DAY_MS ? `${+(ms / DAY_MS).toFixed(1)} d` : `${+(ms / HOUR_MS).toFixed(1)} h`
