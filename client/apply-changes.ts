/** How one list of hits becomes another; ranks are those of the new list, from 1. */
export type HitChange<H extends Ranked> =
  | { readonly op: 'enter'; readonly rank: number; readonly hit: H }
  | { readonly op: 'leave'; readonly hitId: string }
  | { readonly op: 'move'; readonly hitId: string; readonly rank: number; readonly score: number }
  | { readonly op: 'update'; readonly rank: number; readonly hit: H }

interface Ranked {
  readonly hitId: string
  readonly score: number
}

/** The list after the changes, in order. Whatever they do not name stays at its rank. */
export function applyChanges<H extends Ranked>(before: readonly H[], changes: readonly HitChange<H>[]): H[] {
  const byId = new Map(before.map((hit) => [hit.hitId, hit]))
  const named = new Set(changes.map((change) => ('hit' in change ? change.hit.hitId : change.hitId)))
  const after: (H | undefined)[] = before.map((hit) => (named.has(hit.hitId) ? undefined : hit))
  for (const change of changes) {
    if (change.op === 'leave') continue
    const hit = change.op === 'move' ? { ...byId.get(change.hitId)!, score: change.score } : change.hit
    after[change.rank - 1] = hit
  }
  return after.filter((hit) => hit !== undefined)
}

/** The list after the changes, or null if they are of another list: what they name is not there, or the ranks are not one for each hit. */
export function applyFitting<H extends Ranked>(before: readonly H[], changes: readonly HitChange<H>[]): H[] | null {
  const present = new Set(before.map(({ hitId }) => hitId))
  const named = new Map(changes.map((change) => ['hit' in change ? change.hit.hitId : change.hitId, change.op]))
  if (named.size < changes.length) return null
  for (const [hitId, op] of named) if (present.has(hitId) === (op === 'enter')) return null
  const kept = before.flatMap(({ hitId }, i) => (named.has(hitId) ? [] : [i + 1]))
  const ranks = [...kept, ...changes.flatMap((change) => (change.op === 'leave' ? [] : [change.rank]))].sort(
    (a, b) => a - b,
  )
  return ranks.every((rank, i) => rank === i + 1) ? applyChanges(before, changes) : null
}

/** How one list became the other. Empty where nothing has changed. */
export function changesBetween<H extends Ranked>(before: readonly H[], after: readonly H[]): HitChange<H>[] {
  const places = new Map(before.map((hit, i) => [hit.hitId, { hit, rank: i + 1 }]))
  const present = new Set(after.map(({ hitId }) => hitId))
  const changes: HitChange<H>[] = before
    .filter(({ hitId }) => !present.has(hitId))
    .map(({ hitId }) => ({ op: 'leave', hitId }))
  for (const [i, hit] of after.entries()) {
    const rank = i + 1
    const place = places.get(hit.hitId)
    if (place === undefined) changes.push({ op: 'enter', rank, hit })
    else if (place.hit !== hit && contentOf(place.hit) !== contentOf(hit)) changes.push({ op: 'update', rank, hit })
    else if (place.rank !== rank || place.hit.score !== hit.score)
      changes.push({ op: 'move', hitId: hit.hitId, rank, score: hit.score })
  }
  return changes
}

const contentOf = (hit: Ranked): string => JSON.stringify({ ...hit, score: 0 })
