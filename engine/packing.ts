import type { Bound, Unit } from './units.ts'

/** What a chunk is filled to while more follows; a remainder that still fits under the model's bound is not cut off. */
export const chunkTokensTarget = 200
/** A section of Markdown smaller than this joins what follows. */
export const sectionTokensMin = 32
/** Whole sentences repeated at the start of a chunk that begins inside a paragraph. */
export const overlapTokensMax = 32

export interface Span {
  readonly start: number
  readonly end: number
}

/** Puts units together to chunks of at most `tokensMax`. Pure. */
export function pack(units: readonly Unit[], tokensMax: number): readonly Span[] {
  const target = Math.min(chunkTokensTarget, tokensMax)
  const spans: Span[] = []
  for (const group of groupsOf(units, target)) packGroup(spans, units, group, target, tokensMax)
  return spans
}

/** Units `from`..`to`: whole sections, small neighbours together. A chunk never spans two groups. */
interface Group {
  from: number
  to: number
  cost: number
}

function* groupsOf(units: readonly Unit[], target: number): Generator<Group> {
  let group: Group = { from: 0, to: 0, cost: 0 }
  for (let from = 0, to = 0; from < units.length; from = to) {
    to = sectionEnd(units, from)
    const cost = costOf(units, from, to)
    const small = group.cost < sectionTokensMin || group.cost + cost <= target
    if (small && units[from]!.bound !== 'forced') {
      group.to = to
      group.cost += cost
    } else {
      if (group.to > group.from) yield group
      group = { from, to, cost }
    }
  }
  if (group.to > group.from) yield group
}

function sectionEnd(units: readonly Unit[], from: number): number {
  let to = from + 1
  while (to < units.length && units[to]!.bound !== 'heading' && units[to]!.bound !== 'forced') to++
  return to
}

function packGroup(spans: Span[], units: readonly Unit[], group: Group, target: number, tokensMax: number): void {
  let left = group.cost
  let first = group.from
  let cut = group.from
  while (cut < group.to) {
    const overlap = costOf(units, first, cut)
    const next = overlap + left <= tokensMax ? group.to : nextCut(units, cut, overlap, target, tokensMax)
    spans.push({ start: units[first]!.start, end: units[next - 1]!.end })
    left -= costOf(units, cut, next)
    first = next < group.to ? overlapStart(units, first, next) : next
    cut = next
  }
}

/** The latest of the best bounds in the second half of the chunk; else the latest place that is no bound at all. */
function nextCut(units: readonly Unit[], from: number, overlap: number, target: number, tokensMax: number): number {
  let best = -1
  let cost = overlap
  let at = from
  while (at < units.length && cost + units[at]!.cost <= tokensMax) {
    cost += units[at]!.cost
    at += 1
    const bound = units[at]?.bound
    if (!bound || bound === 'glued') continue
    if (cost > target) {
      if (best < 0) best = at
      break
    }
    if (best < 0 || cost < target / 2 || worth[bound] >= worth[units[best]!.bound]) best = at
  }
  return best < 0 ? Math.max(at, from + 1) : best
}

const worth: Record<Bound, number> = { forced: 4, heading: 4, paragraph: 3, sentence: 2, word: 1, glued: 0 }

/** How far back the next chunk starts: over whole sentences of the same paragraph, never over a heading. */
function overlapStart(units: readonly Unit[], first: number, cut: number): number {
  let start = cut
  let cost = 0
  while (start - 1 > first && units[start]!.bound === 'sentence') {
    const before = units[start - 1]!
    cost += before.cost
    const whole = before.bound === 'sentence' || before.bound === 'paragraph'
    if (!whole || cost > overlapTokensMax) break
    start -= 1
  }
  return start
}

function costOf(units: readonly Unit[], from: number, to: number): number {
  let cost = 0
  for (let i = from; i < to; i++) cost += units[i]!.cost
  return cost
}
