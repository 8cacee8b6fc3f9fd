/** One ranked candidate: higher scores first. */
export interface Ranked {
  readonly id: string
  readonly score: number
}

export interface FusionInput {
  readonly dense: readonly Ranked[]
  readonly keyword: readonly Ranked[]
  /** How many to answer. */
  readonly k: number
  readonly weights?: { readonly dense: number; readonly keyword: number }
}

/**
 * Weighted reciprocal rank fusion: a candidate scores the sum of weight / (60 + rank) over the lists that hold it, so that
 * scores of different kinds need not be compared. Ordered by score, then id; equal scores within a list share their best
 * rank, so the order in which a server returns ties never shows.
 * Source: Cormack, Clarke and Büttcher, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods", SIGIR 2009.
 */
export function fuse({ dense, keyword, k, weights = { dense: 1, keyword: 1 } }: FusionInput): Ranked[] {
  const scores = new Map<string, number>()
  for (const [list, weight] of [
    [dense, weights.dense],
    [keyword, weights.keyword],
  ] as const) {
    for (const { id, rank } of ranked(list)) scores.set(id, (scores.get(id) ?? 0) + weight / (RANK_OFFSET + rank))
  }
  return [...scores]
    .map(([id, score]) => ({ id, score }))
    .sort(byScoreThenId)
    .slice(0, k)
}

/** The constant of the paper: how little the first ranks stand out. */
const RANK_OFFSET = 60

export function byScoreThenId(a: Ranked, b: Ranked): number {
  if (a.score !== b.score) return b.score - a.score
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

function ranked(list: readonly Ranked[]): { id: string; rank: number }[] {
  let rank = 0
  let former = Number.NaN
  return [...list].sort(byScoreThenId).map(({ id, score }, i) => {
    if (score !== former) rank = i + 1
    former = score
    return { id, rank }
  })
}
