import { InvalidArgumentError, Option } from 'commander'
import { type Entry, isWished, type Known, type State, stateOf, type Wish } from '../maintenance/dead-letters.ts'
import { lookAt } from '../maintenance/known.ts'
import { decisionKey, withoutErased } from '../maintenance/letter-decisions.ts'
import { type Letters, readLetters } from '../maintenance/read-letters.ts'
import { soundKey } from '../maintenance/replay-decision.ts'
import { reasonOf } from '../streams/errors.ts'
import type { Operator } from './operator.ts'

/** An entry and what became of it. */
export interface Stated {
  readonly entry: Entry
  readonly state: State
  readonly why: string
}

export interface ListedLetters {
  readonly letters: Letters
  readonly stated: readonly Stated[]
  /** Why superseded ones are among the open; null if they are told apart. */
  readonly unlooked: string | null
}

/** All that may be seen. */
export async function lettersNow(operator: Operator): Promise<Letters> {
  const letters = await readLetters(operator, { progressed: progress('dead letters') })
  return { ...letters, entries: withoutErased(letters.entries, (key) => operator.control.get(key)) }
}

/** Reads all letters, and what became of those that are wished for. */
export async function listLetters(operator: Operator, wish: Wish): Promise<ListedLetters> {
  const letters = await lettersNow(operator)
  const entries = [...letters.entries.values()].filter((entry) => isWished(entry, wish)).reverse()
  const looking = entries.slice(0, LOOKED_AT_MAX)
  let known: ReadonlyMap<string, Known> = new Map()
  let unlooked: string | null = null
  try {
    known = (await lookAt([...new Set(looking.flatMap((entry) => soundKey(entry) ?? []))], operator)).known
    if (looking.length < entries.length) unlooked = `only the newest ${LOOKED_AT_MAX} were compared with the documents`
  } catch (error) {
    unlooked = reasonOf(error)
  }
  const stated = entries.map((entry): Stated => {
    const key = soundKey(entry)
    const decided = operator.control.get(decisionKey(entry.id))?.deadLetter ?? null
    return { entry, ...stateOf(entry, decided, key === null ? undefined : known.get(key)) }
  })
  return { letters, stated, unlooked }
}

/** One read of the log for each key whose document is not new: so many take a few seconds. */
const LOOKED_AT_MAX = 1_000

/** On a terminal, one line that changes while something long is read. */
export function progress(what: string, out = process.stderr): (done: number, all: number) => void {
  let drawnAt = Date.now()
  let drawn = false
  return (done, all) => {
    const last = done >= all
    if (!out.isTTY || (last ? !drawn : Date.now() - drawnAt < DRAW_EVERY_MS)) return
    drawnAt = Date.now()
    drawn = true
    out.write(last ? '\r\x1b[2K' : `\r\x1b[2K${what}: ${Math.floor((100 * done) / all)} % of ${all} offsets read`)
  }
}

const DRAW_EVERY_MS = 200

/** Which entries: the same for list and replay. */
export const wishOptions = (): Option[] => [
  new Option('--stage <name>', 'of this stage'),
  new Option('--class <class>', 'of this class').choices(['key', 'partition', 'schema', 'content', 'size', 'crash']),
  new Option('--reason <text>', 'with this in the reason'),
  new Option('--since <time>', 'refused since: an age like 2h, or a time').argParser(timeOf('--since')),
  new Option('--until <time>', 'refused before').argParser(timeOf('--until')),
  new Option('--key <pattern>', 'with this key: its beginning, or a pattern with *'),
]

const UNITS_MS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** An age (90s, 15m, 2h, 3d) or a time (ISO 8601) as ms since 1970. */
export function timeOf(flag: string, now: () => number = Date.now): (text: string) => number {
  return (text) => {
    const [, amount, unit] = /^(\d+(?:\.\d+)?)([smhd])$/.exec(text) ?? []
    if (amount !== undefined) return now() - Number(amount) * UNITS_MS[unit!]!
    const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
    if (Number.isNaN(time)) {
      throw new InvalidArgumentError(
        `${flag}: give an age like 90s, 15m, 2h or 3d, or a time like 2026-05-01T12:00:00Z.`,
      )
    }
    return time
  }
}

/** As JSON has it. */
export function plain({ entry: { id, origin, latest, count }, state, why }: Stated): object {
  const { stage, class: letterClass, reason, key, topic, partition, offset, timestamp, bytes } = latest
  return {
    id,
    state,
    ...(why !== '' && { why }),
    stage,
    class: letterClass,
    reason,
    key,
    count,
    first: iso(origin.refusedAt),
    last: iso(latest.refusedAt),
    origin: { topic: origin.topic, partition: origin.partition, offset: origin.offset, time: iso(origin.timestamp) },
    refused: { topic, partition, offset, time: iso(timestamp) },
    bytes,
  }
}

export const iso = (ms: number): string => new Date(ms).toISOString()
