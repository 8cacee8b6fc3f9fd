/** How good a ranking of documents is, against another one, or against what people have judged relevant. Pure. */

/** The share of the first `k` of each that both have; of two that are empty, 1. */
export function overlapAt(k: number, a: readonly string[], b: readonly string[]): number {
  const first = new Set(a.slice(0, k))
  const second = new Set(b.slice(0, k))
  const size = Math.max(first.size, second.size)
  return size === 0 ? 1 : [...first].filter((id) => second.has(id)).length / size
}

/** The share of what is relevant that is among the first `k`, of as many as can be there. */
export function recallAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  const found = new Set(ranked.slice(0, k).filter((id) => relevant.has(id)))
  return found.size / Math.min(k, relevant.size)
}

/** Normalised discounted cumulative gain, each relevant one worth the same: Järvelin and Kekäläinen, TOIS 20(4), 2002. */
export function ndcgAt(k: number, ranked: readonly string[], relevant: ReadonlySet<string>): number {
  const gain = (rank: number): number => 1 / Math.log2(rank + 2)
  const seen = new Set<string>()
  const found = ranked.slice(0, k).reduce((sum, id, rank) => {
    if (!relevant.has(id) || seen.has(id)) return sum
    seen.add(id)
    return sum + gain(rank)
  }, 0)
  const best = Array.from({ length: Math.min(k, relevant.size) }, (_, rank) => gain(rank))
  return found / best.reduce((sum, each) => sum + each, 0)
}

/** The nearest rank; 0 of nothing. */
export function quantile(share: number, values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0
}

export const meanOf = (values: readonly number[]): number | null =>
  values.length === 0 ? null : values.reduce((sum, each) => sum + each, 0) / values.length
