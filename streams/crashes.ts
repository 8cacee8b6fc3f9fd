/**
 * Records that end the process itself (out of memory, a native abort) leave no error to catch. So each start of a task is
 * counted where it starts, and the count is taken back by progress and by a clean end: what is left are starts that ended
 * the process. After too many records go one by one, and what is counted is how often one was tried. Pure; `commits.ts`
 * writes the count down.
 */
export interface Crashes {
  /** Starts at this place, the present one included, that neither moved on nor ended cleanly; where records go one by one, attempts at `record`. */
  readonly starts: number
  /** The member of the group that made the last one. */
  readonly by: string
  /** Up to this offset records go one by one, each counted by itself; -1: all go as usual. */
  readonly until: number
  /** What the count is about: the first record that was not passed. */
  readonly record: number
}

export const noCrashes: Crashes = { starts: 0, by: '', until: -1, record: -1 }

/** Whether the last start that is counted may have ended in a crash, so that it matters whether its maker is still there. */
export const isOpen = ({ starts }: Crashes): boolean => starts > 0

/** The count when a task starts at an offset. `alive`: the maker of the last start only lost the partition. */
export function startAgain(
  before: Crashes,
  { alive, own, offset }: { alive: boolean; own: string; offset: number },
): Crashes {
  const { until } = before
  // A record behind the place was passed.
  const same = before.record >= offset
  const record = same ? before.record : offset
  const taken = same ? before.starts - (isOpen(before) && alive ? 1 : 0) : 0
  if (until >= 0) return { starts: taken, by: own, until, record }
  if (taken >= STARTS_MAX) return { starts: 0, by: own, until: offset + ISOLATED_OFFSETS, record }
  return { starts: taken + 1, by: own, until, record }
}

/** The record at the offset has ended the process as often as a record may. */
export const isCondemned = ({ starts, until, record }: Crashes, offset: number): boolean =>
  offset === record && offset < until && starts > STARTS_MAX

export const isolates = ({ until }: Crashes, offset: number): boolean => offset < until

/** Where records go one by one: before one is tried. What lies before `record` was done since, and is only repeated. */
export function attempted(before: Crashes, offset: number): Crashes {
  if (offset < before.record) return before
  return { ...before, starts: offset === before.record ? before.starts + 1 : 1, record: offset }
}

/** It is done, at a place that does not move yet. */
export const done = (before: Crashes, offset: number): Crashes =>
  offset < before.record ? before : { ...before, starts: 0, record: offset + 1 }

/** After progress, or a clean end. */
export const passed = ({ until }: Crashes, next: number): Crashes => ({
  ...noCrashes,
  until: next < until ? until : -1,
})

export const STARTS_MAX = 3
/** More than a stage has under way at once; a crash that lies behind it is found the same way, from nearer. */
const ISOLATED_OFFSETS = 1_000
