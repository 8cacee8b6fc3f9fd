/** A hit of a result list, as far as the difference of two lists needs it. */
export interface Listed {
  /** The same chunk of the same document has the same id in every revision. */
  readonly hitId: string
  readonly score: number
}

/**
 * How one list becomes another. Ranks are those of the new list, from 1. Whoever applies them takes out all that leave or come at another
 * rank, and puts in what has a rank, lowest first.
 */
export type Change<H extends Listed> =
  | { readonly op: 'enter'; readonly rank: number; readonly hit: H }
  | { readonly op: 'leave'; readonly hitId: string }
  | { readonly op: 'move'; readonly hitId: string; readonly rank: number; readonly score: number }
  | { readonly op: 'update'; readonly rank: number; readonly hit: H }

/**
 * Empty where nothing has changed. A hit that says the same at the same rank, with another score, moves to where it is. `same`: whether two hits
 * of one id say the same, whatever their scores.
 */
export function differenceOf<H extends Listed>(before: readonly H[], after: readonly H[]): Change<H>[]
export function differenceOf<B extends Listed, H extends Listed>(
  before: readonly B[],
  after: readonly H[],
  same: (before: B, after: H) => boolean,
): Change<H>[]
export function differenceOf(
  before: readonly Listed[],
  after: readonly Listed[],
  same: (before: Listed, after: Listed) => boolean = saysTheSame,
): Change<Listed>[] {
  const places = new Map(before.map((hit, i) => [hit.hitId, { hit, rank: i + 1 }]))
  const present = new Set(after.map(({ hitId }) => hitId))
  const leaving = before.filter(({ hitId }) => !present.has(hitId))
  const changes: Change<Listed>[] = leaving.map(({ hitId }) => ({ op: 'leave', hitId }))
  for (const [i, hit] of after.entries()) {
    const rank = i + 1
    const place = places.get(hit.hitId)
    if (place === undefined) changes.push({ op: 'enter', rank, hit })
    else if (!same(place.hit, hit)) changes.push({ op: 'update', rank, hit })
    else if (place.rank !== rank || place.hit.score !== hit.score)
      changes.push({ op: 'move', hitId: hit.hitId, rank, score: hit.score })
  }
  return changes
}

/** Most fields are the very same values: only what is not is looked into. */
function saysTheSame(a: Listed, b: Listed): boolean {
  if (a === b) return true
  const [one, other] = [a, b] as unknown as readonly [Record<string, unknown>, Record<string, unknown>]
  const names = Object.keys(one)
  return (
    names.length === Object.keys(other).length &&
    names.every(
      (name) =>
        name === 'score' || one[name] === other[name] || JSON.stringify(one[name]) === JSON.stringify(other[name]),
    )
  )
}
