/** One entry of a ranked list: higher scores are better. */
export interface Ranked {
  readonly id: string
  readonly score: number
}

export interface FusionOptions {
  /** Windows of the two lists, in any order. Their size must not depend on anything but the request, or equal requests would differ. */
  readonly dense: readonly Ranked[]
  readonly keyword: readonly Ranked[]
  /** Number of results wanted. */
  readonly k: number
  readonly weights?: FusionWeights
}

export interface FusionWeights {
  readonly dense: number
  readonly keyword: number
}

const fusionWeights: FusionWeights = { dense: 1, keyword: 1 }

/** How little the first places stand out: the value that Cormack et al. fixed in a pilot and kept for all of their collections. */
const rankConstant = 60

/**
 * Fuses the two lists into the best `k`, by score, then id; an id that stands twice in a list counts once, at its better
 * place. A score is the sum of weight / (60 + rank), so it is at most (dense + keyword weight) / 61.
 *
 * Weighted reciprocal rank fusion (Cormack, Clarke, Buettcher: Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
 * Learning Methods, SIGIR 2009). A tuned convex combination of normalised scores can be better (Bruch, Gai, Ingber: An Analysis of
 * Fusion Functions for Hybrid Retrieval, TOIS 2023), but needs judged queries to tune it, and its scores move with every write,
 * since keyword weights are corpus-wide: standing queries would be told of changes that nobody made. Ranks do not.
 */
export function fuse({ dense, keyword, k, weights = fusionWeights }: FusionOptions): Ranked[] {
  const scores = new Map<string, number>()
  // Always in this order: adding floats is not associative, and equal input must give equal bits.
  addRanks(scores, dense, weights.dense)
  addRanks(scores, keyword, weights.keyword)
  return [...scores]
    .map(([id, score]) => ({ id, score }))
    .sort(byScoreThenId)
    .slice(0, Math.max(0, k))
}

/** The order of all results, everywhere: the server's own order of ties is random. */
export function byScoreThenId(a: Ranked, b: Ranked): number {
  if (a.score !== b.score) return b.score - a.score
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

function addRanks(scores: Map<string, number>, list: readonly Ranked[], weight: number): void {
  const seen = new Set<string>()
  for (const { id } of list.toSorted(byScoreThenId)) {
    if (seen.has(id)) continue
    seen.add(id)
    scores.set(id, (scores.get(id) ?? 0) + weight / (rankConstant + seen.size))
  }
}
