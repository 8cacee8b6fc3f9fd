import type { Bound, Unit } from './units.ts'

/** What a chunk is filled to while more follows; a remainder that still fits under the model's bound is not cut off. */
const chunkTokensTarget = 200
/** A section of Markdown smaller than this never is a chunk of its own. */
const sectionTokensMin = 32
/** Whole sentences repeated at the start of a chunk that begins inside a paragraph. */
const overlapTokensMax = 32

export interface Span {
  readonly start: number
  readonly end: number
}

/** Puts units together to chunks of at most `tokensMax`. Pure. */
export function pack(units: readonly Unit[], tokensMax: number): readonly Span[] {
  const target = Math.min(chunkTokensTarget, tokensMax)
  return groupsOf(units, target).flatMap((group) => packGroup(group, target, tokensMax))
}

/** Whole sections, small neighbours together. A chunk never spans two groups. */
function groupsOf(units: readonly Unit[], target: number): readonly (readonly Unit[])[] {
  const groups: Unit[][] = []
  for (const section of sectionsOf(units)) {
    const group = groups.at(-1)
    const cost = group ? costOf(group) : 0
    const apart =
      !group || section[0]!.bound === 'forced' || (cost >= sectionTokensMin && cost + costOf(section) > target)
    if (apart) groups.push([...section])
    else for (const unit of section) group.push(unit)
  }
  return groups
}

function sectionsOf(units: readonly Unit[]): readonly (readonly Unit[])[] {
  const sections: Unit[][] = []
  for (const unit of units) {
    if (sections.length === 0 || unit.bound === 'forced' || unit.bound === 'heading') sections.push([unit])
    else sections.at(-1)!.push(unit)
  }
  return sections
}

function packGroup(units: readonly Unit[], target: number, tokensMax: number): readonly Span[] {
  const spans: Span[] = []
  let left = costOf(units)
  let first = 0
  let cut = 0
  while (cut < units.length) {
    const overlap = costOf(units, first, cut)
    const next = overlap + left <= tokensMax ? units.length : nextCut(units, cut, overlap, target, tokensMax)
    spans.push({ start: units[first]!.start, end: units[next - 1]!.end })
    left -= costOf(units, cut, next)
    first = next < units.length ? overlapStart(units, first, next) : next
    cut = next
  }
  return spans
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

function costOf(units: readonly Unit[], from = 0, to = units.length): number {
  let cost = 0
  for (let i = from; i < to; i++) cost += units[i]!.cost
  return cost
}
