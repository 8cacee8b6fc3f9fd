import type { Progress } from '../schemas/records.ts'
import { epochIn } from '../streams/low.ts'
import type { Input } from '../streams/processor.ts'

/**
 * Two spaces have a log of `vectors` each, whose offsets have nothing to do with each other. What they have in common is `documents`: each
 * record says of which position it was derived, and each collection up to which position it has applied all.
 */
export interface Highest {
  readonly epoch: number
  /** -1: nothing. */
  readonly offset: number
}

export const nothingYet: Highest = { epoch: 0, offset: -1 }

/** Applied up to an offset of `vectors`, all of it derived of positions up to this one. */
export interface Pending {
  readonly through: number
  readonly upTo: Highest
}

/** The highest position of `documents` that the records say they were derived of. */
export function highestIn(records: readonly Pick<Input, 'headers'>[]): Highest {
  return records.reduce((highest, { headers }) => {
    const offset = Number(headers.position?.split(':')[1] ?? Number.NaN)
    return Number.isSafeInteger(offset) ? higherOf(highest, { epoch: epochIn(headers), offset }) : highest
  }, nothingYet)
}

export const higherOf = (a: Highest, b: Highest): Highest =>
  b.epoch > a.epoch || (b.epoch === a.epoch && b.offset > a.offset) ? b : a

/** Whether a collection that published this has applied all positions up to there. */
export const covers = ({ epoch, low }: Pick<Progress, 'epoch' | 'low'>, { epoch: ofEpoch, offset }: Highest): boolean =>
  offset === -1 || epoch > ofEpoch || (epoch === ofEpoch && low >= offset)

/** What is applied next can be told only after what was applied before. Where there is too much, neighbours are told together. */
export function pendingWith(pending: readonly Pending[], next: Pending): Pending[] {
  const last = pending.at(-1)
  const upTo = last === undefined ? next.upTo : higherOf(last.upTo, next.upTo)
  const all = [...pending, { through: next.through, upTo }]
  // Each holds all that the one before it does: the later of two stands for both.
  return all.length <= PENDING_MAX ? all : all.filter((_, i) => i % 2 === (all.length - 1) % 2)
}

export const PENDING_MAX = 256
