/** How one list of hits becomes another; ranks are those of the new list, from 1. */
export type HitChange<H extends { readonly hitId: string; readonly score: number }> =
  | { readonly op: 'enter'; readonly rank: number; readonly hit: H }
  | { readonly op: 'leave'; readonly hitId: string }
  | { readonly op: 'move'; readonly hitId: string; readonly rank: number; readonly score: number }
  | { readonly op: 'update'; readonly rank: number; readonly hit: H }

/** The list after the changes, in order. Whatever they do not name stays at its rank. */
export function applyChanges<H extends { readonly hitId: string; readonly score: number }>(
  before: readonly H[],
  changes: readonly HitChange<H>[],
): H[] {
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
