import type { Manifest } from '../processors/vector-index.ts'
import type { DeadLetterDecision } from '../schemas/records.ts'
import type { StoredRecord } from '../streams/broker.ts'
import { type DeadLetter, letterId, replayOf, textOf } from '../streams/dead-letters.ts'

/** One dead letter without its bytes: what is kept of it while all are read. */
export interface Letter {
  /** The entry that it belongs to: its own, or that of the letter whose replay it is. */
  readonly entry: string
  /** Where it lies in `dead-letters`, and since when. */
  readonly at: number
  readonly refusedAt: number
  readonly stage: string
  readonly class: string
  readonly reason: string
  /** The refused record's place and time. */
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  /** null: it has none that is text. */
  readonly key: string | null
  readonly bytes: number
  /** The document's offset in `documents`, where the record names one. */
  readonly revision: number | null
}

/** All letters of one record: the first, its repetitions, and the replays of it that failed again. */
export interface Entry {
  readonly id: string
  readonly origin: Letter
  readonly latest: Letter
  readonly count: number
}

export type State = 'open' | 'replayed' | 'superseded' | 'discarded' | 'erased'

export function letterOf(
  letter: DeadLetter,
  { offset: at, timestamp: refusedAt }: StoredRecord,
  revision: number | null,
): Letter {
  const {
    stage,
    class: letterClass,
    reason,
    topic,
    topicId,
    partition,
    offset,
    timestamp,
    key,
    value,
    headers,
  } = letter
  return {
    entry: replayOf(headers) ?? letterId(letter),
    at,
    refusedAt,
    stage,
    class: letterClass,
    reason,
    topic,
    topicId,
    partition,
    offset,
    timestamp,
    key: textOf(key)?.slice(0, KEY_CHARS_MAX) ?? null,
    bytes: (key?.length ?? 0) + (value?.length ?? 0),
    revision,
  }
}

/** A sound key has 512 bytes at most; of others the beginning is enough to know them by. */
const KEY_CHARS_MAX = 600

/** Letters are folded in the order of the topic. */
export function fold(entries: Map<string, Entry>, letter: Letter): void {
  const before = entries.get(letter.entry)
  entries.set(letter.entry, {
    id: letter.entry,
    origin: before?.origin ?? letter,
    latest: letter,
    count: (before?.count ?? 0) + 1,
  })
}

/** What is known of a key beside its letters. */
export interface Known {
  /** null: the index has none, or never heard of it. */
  readonly manifest: Manifest | null
  /** Its latest record in `documents`; null: none is there (never was, or deleted and compacted away). */
  readonly latest: LatestRecord | null
}

export interface LatestRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly deletes: boolean
  /** The source record that it was made of; null where its producer wrote it to `documents`. */
  readonly source: { readonly topicId: string; readonly partition: number; readonly offset: number } | null
  readonly replayOf: string | null
}

/** What became of an entry. `known` is undefined where nobody looked, or there is no sound key. */
export function stateOf(
  entry: Entry,
  decided: DeadLetterDecision | null,
  known: Known | undefined,
): { readonly state: State; readonly why: string } {
  if (decided?.state === 'discarded' || decided?.state === 'erased') return { state: decided.state, why: decided.why }
  if (decided?.state === 'replayed' && entry.latest.at < decided.through) return { state: 'replayed', why: decided.why }
  const newer = known === undefined ? null : supersededBy(entry, known)
  return newer === null ? { state: 'open', why: '' } : { state: 'superseded', why: newer }
}

/** What took the record's place since; null if nothing did, so that a replay goes forward. */
export function supersededBy({ id, origin, latest: last }: Entry, { manifest, latest }: Known): string | null {
  // A record that belongs to no document: what was written under its key since, where that belongs, is what was meant.
  if (last.class === 'key' || last.class === 'partition') return newerByTime(origin, latest)
  return isOfSource(last) ? newerThanSource(id, origin, latest, manifest) : newerRevision(last, latest, manifest)
}

/** The same clock wrote both times, the broker's. In doubt nothing goes back. */
function newerByTime({ refusedAt }: Letter, latest: LatestRecord | null): string | null {
  if (latest === null || latest.timestamp < refusedAt) return null
  const { partition, offset, timestamp } = latest
  return `documents ${partition}/${offset} was written later, at ${new Date(timestamp).toISOString()}`
}

/** Refused on the way into `documents`: the record itself is what would be sent again. */
export const isOfSource = ({ stage }: Letter): boolean => stage === 'ingest-documents'

function newerThanSource(
  id: string,
  origin: Letter,
  latest: LatestRecord | null,
  manifest: Manifest | null,
): string | null {
  if (latest === null) {
    return manifest === null ? null : 'the document was deleted so long ago that documents does not have the record'
  }
  const { partition, offset, source, replayOf: replayed } = latest
  const place = `documents ${partition}/${offset}`
  if (replayed === id) return `a replay of it is ${place}`
  if (source !== null && source.topicId === origin.topicId && source.partition === origin.partition) {
    if (source.offset < origin.offset) return null
    return source.offset === origin.offset
      ? `the same record is ${place}`
      : `${place} was made of a later record of the source (offset ${source.offset})`
  }
  return newerByTime(origin, latest)
}

function newerRevision({ revision }: Letter, latest: LatestRecord | null, manifest: Manifest | null): string | null {
  if (latest === null) return 'documents does not have the key any more: it was deleted'
  const { partition, offset, deletes } = latest
  const place = `documents ${partition}/${offset}`
  const applied = manifest !== null && manifest.fence.offset === offset && manifest.rejected === null
  if (!applied) return null
  if (revision !== null && offset > revision) return `${place} is newer, and is ${deletes ? 'deleted' : 'indexed'}`
  return deletes ? `${place} deletes it, and that is done` : `${place} was indexed since`
}

export interface Wish {
  readonly stage?: string
  readonly class?: string
  /** A part of the reason, any case. */
  readonly reason?: string
  readonly since?: number
  readonly until?: number
  /** A key, the beginning of one, or a pattern with `*`. */
  readonly key?: string
}

/** By the time of the latest letter. */
export function isWished(
  { latest: { stage, class: letterClass, reason, refusedAt, key } }: Entry,
  wish: Wish,
): boolean {
  return (
    (wish.stage === undefined || stage === wish.stage) &&
    (wish.class === undefined || letterClass === wish.class) &&
    (wish.reason === undefined || reason.toLowerCase().includes(wish.reason.toLowerCase())) &&
    (wish.since === undefined || refusedAt >= wish.since) &&
    (wish.until === undefined || refusedAt < wish.until) &&
    (wish.key === undefined || (key !== null && keyMatches(key, wish.key)))
  )
}

function keyMatches(key: string, wanted: string): boolean {
  if (!wanted.includes('*')) return key.startsWith(wanted)
  const parts = wanted.split('*').map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${parts.join('.*')}$`, 's').test(key)
}

export interface Group {
  readonly stage: string
  readonly class: string
  /** What the reasons have in common: quoted pieces and numbers are left out. */
  readonly reason: string
  readonly entries: number
  /** Letters: repetitions and failed replays are counted. */
  readonly letters: number
  readonly first: number
  readonly last: number
  readonly example: string
}

/** Entries that fail for the same reason, the most first. */
export function grouped(entries: readonly Entry[]): Group[] {
  const groups = Map.groupBy(entries, ({ latest: { stage, class: letterClass, reason } }) =>
    [stage, letterClass, patternOf(reason)].join('\n'),
  )
  return [...groups.values()]
    .map((group): Group => {
      const { stage, class: letterClass, reason } = group[0]!.latest
      const newest = group.reduce((a, b) => (b.latest.at > a.latest.at ? b : a))
      return {
        stage,
        class: letterClass,
        reason: group.length === 1 ? reason : patternOf(reason),
        entries: group.length,
        letters: group.reduce((sum, { count }) => sum + count, 0),
        first: group.reduce((least, { origin }) => Math.min(least, origin.refusedAt), Number.POSITIVE_INFINITY),
        last: newest.latest.refusedAt,
        example: newest.id,
      }
    })
    .sort((a, b) => b.entries - a.entries || b.last - a.last)
}

const patternOf = (reason: string): string =>
  reason
    .replace(/"(?:[^"\\]|\\.)*"/g, '"…"')
    .replace(/\([0-9a-f]{8,}\)/g, '(…)')
    .replace(/\d+/g, '#')

/** The entry whose id begins so. Throws, naming the fix, where there is none or several. */
export function entryOf(entries: ReadonlyMap<string, Entry>, prefix: string): Entry {
  if (!/^[0-9a-f]{4,32}$/.test(prefix)) {
    throw new Error(`id: ${JSON.stringify(prefix)} is not one; give 4 or more letters of an id of dlq list --entries`)
  }
  const found = [...entries.values()].filter(({ id }) => id.startsWith(prefix))
  if (found.length === 1) return found[0]!
  if (found.length === 0) {
    throw new Error(`id: no dead letter begins with ${prefix}; dlq list --all --entries shows those that are there`)
  }
  const few = found.slice(0, 5).map(({ id }) => id.slice(0, SHORT_CHARS + 4))
  throw new Error(`id: ${prefix} is the beginning of ${found.length} ids (${few.join(', ')}); give more of it`)
}

/** Of an id, what a list shows. */
export const shortId = (id: string): string => id.slice(0, SHORT_CHARS)
const SHORT_CHARS = 8
