import { type Chance, chanceOf } from './chance.ts'
import type { CallFault } from './network.ts'

/** All that a seed says: what producers write, and what goes wrong. A story without some of its events is a story too. */
export interface Story {
  readonly seed: number
  readonly setting: Setting
  readonly events: readonly StoryEvent[]
}

export interface Setting {
  readonly processes: number
  /** Documents come by `inbox` and `ingest-documents`, not straight to `documents`. */
  readonly ingest: boolean
  /** Share of the asks that are refused of whether a record of `inbox` may go on now, as a quota does. */
  readonly held: number
  /** Share of delays that are long. */
  readonly wild: number
  readonly fetchBytesMax: number
  /** Share of fetches that are handed on twice. */
  readonly repeats: number
  readonly sessionMs: number
  readonly cacheBytesMax: number
  /** The processes' clocks differ by up to this. */
  readonly skewMs: number
}

export type StoryEvent = Input | ProcessFault | WorldFault | LostCall

export interface Input {
  readonly atMs: number
  readonly do: 'put' | 'delete' | 'poison' | 'blank'
  readonly key: string
  /** Which text. */
  readonly text: number
}

export interface ProcessFault {
  readonly atMs: number
  readonly do: 'crash' | 'freeze' | 'stop' | 'lose membership'
  readonly process: number
  /** Until it is back. */
  readonly forMs: number
}

export interface WorldFault {
  readonly atMs: number
  readonly do: 'copy' | 'restore' | 'compact' | 'repeat'
  /** Which copy; which record is repeated. */
  readonly number: number
}

/** The nth call of all. */
export interface LostCall {
  readonly do: CallFault
  readonly call: number
}

export const PARTITIONS = 2

export function storyOf(seed: number): Story {
  const chance = chanceOf(seed, 1)
  const ms = 1_000 * (5 + chance.below(20))
  const setting: Setting = {
    processes: 1 + chance.below(3),
    ingest: chance.hits(0.2),
    held: chanceOf(seed, 5).pick([0, 0.1, 0.5]),
    wild: chance.pick([0.05, 0.2, 0.5]),
    fetchBytesMax: chance.pick([1, 2_000, 1_000_000]),
    repeats: chance.pick([0, 0.1]),
    sessionMs: chance.pick([1_000, 3_000]),
    cacheBytesMax: chance.pick([0, 1_000_000]),
    skewMs: chance.pick([0, 600_000]),
  }
  const written = inputs(chance, ms)
  const events = [
    ...written,
    ...processFaults(chance, ms, setting.processes),
    ...worldFaults(chance, ms, setting.processes),
    ...lostCalls(chance),
    ...asleep(chanceOf(seed, 4), written, setting.processes),
  ]
  return { seed, setting, events }
}

function inputs(chance: Chance, ms: number): Input[] {
  const keys = ['acme/a', 'acme/b', 'acme/c', 'acme/d', 'acme/e'].slice(0, 1 + chance.below(5))
  const texts = chance.pick([2, 9])
  const count = 3 + chance.below(20)
  const bursts = chance.pick([1, 3, count])
  const times = Array.from({ length: bursts }, () => chance.below(ms))
  return Array.from({ length: count }, () => {
    const x = chance.next()
    const what = x < 0.2 ? 'delete' : x < 0.25 ? 'poison' : x < 0.28 ? 'blank' : 'put'
    return { atMs: chance.pick(times) + chance.below(200), do: what, key: chance.pick(keys), text: chance.below(texts) }
  })
}

function processFaults(chance: Chance, ms: number, processes: number): ProcessFault[] {
  const count = chance.pick([0, 1, 2, 4, 8])
  return Array.from({ length: count }, () => ({
    atMs: chance.below(ms),
    do: chance.pick(['crash', 'crash', 'freeze', 'freeze', 'stop', 'lose membership'] as const),
    process: chance.below(processes),
    forMs: chance.pick([50, 1_500, 6_000]) + chance.below(500),
  }))
}

function worldFaults(chance: Chance, ms: number, processes: number): (WorldFault | ProcessFault)[] {
  const faults: (WorldFault | ProcessFault)[] = []
  const restores = chance.pick([0, 0, 1, 2])
  for (let number = 0; number < restores; number++) {
    const copiedMs = chance.below(ms)
    const restoredMs = copiedMs + 1 + chance.below(ms - copiedMs)
    faults.push({ atMs: copiedMs, do: 'copy', number }, { atMs: restoredMs, do: 'restore', number })
    // Who stands still meanwhile does not see it.
    if (chance.hits(0.4))
      faults.push({
        atMs: restoredMs - chance.below(500),
        do: 'freeze',
        process: chance.below(processes),
        forMs: 1_500,
      })
  }
  for (let i = chance.pick([0, 0, 1, 3]); i > 0; i--) faults.push({ atMs: chance.below(ms), do: 'compact', number: i })
  for (let i = chance.pick([0, 0, 1, 3]); i > 0; i--)
    faults.push({ atMs: chance.below(ms), do: 'repeat', number: chance.below(1_000) })
  return faults
}

/** In some stories a process stands still in the midst of work, and the index is replaced meanwhile. */
function asleep(chance: Chance, written: readonly Input[], processes: number): (WorldFault | ProcessFault)[] {
  if (!chance.hits(0.3)) return []
  const sleepsMs = chance.pick(written).atMs + chance.below(250)
  const number = COPY_OF_SLEEPERS
  return [
    { atMs: chance.below(sleepsMs + 1), do: 'copy', number },
    { atMs: sleepsMs, do: 'freeze', process: chance.below(processes), forMs: 1_500 },
    { atMs: sleepsMs + 1 + chance.below(1_400), do: 'restore', number },
  ]
}

const COPY_OF_SLEEPERS = 9

function lostCalls(chance: Chance): LostCall[] {
  const apart = chance.pick([0, 0, 100, 30, 10])
  const lost: LostCall[] = []
  for (let call = 0; apart > 0 && call < CALLS_HIT_MAX; ) {
    call += 1 + chance.below(2 * apart)
    lost.push({ do: chance.pick(['request lost', 'answer lost', 'done late', 'cut off'] as const), call })
  }
  return lost
}

/** After this many calls nothing goes wrong any more. */
const CALLS_HIT_MAX = 500

/** An event of a story, in words. */
export function inWords(event: StoryEvent): string {
  if ('call' in event) return `call ${event.call}: ${event.do}`
  const at = `${(event.atMs / 1_000).toFixed(3)} s`
  if ('key' in event) return `${at}: ${event.do} ${event.key}${event.do === 'put' ? `, text ${event.text}` : ''}`
  if ('process' in event) return `${at}: ${event.do}, process ${event.process}, for ${event.forMs} ms`
  return `${at}: ${event.do} ${event.number}`
}
