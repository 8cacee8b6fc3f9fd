import { byScoreThenId, type FusionWeights, fuse, type Ranked } from './fusion.ts'

/** What of a search decides in which order its candidates come, and which of them are answered. */
export interface RankingWish {
  readonly mode: 'hybrid' | 'dense' | 'keyword'
  readonly k: number
  readonly weights?: FusionWeights | undefined
  /** Hits below it are left out. In the mode's own measure: cosine, BM25, or the fused score. */
  readonly scoreMin?: number | undefined
  /** Of one document at most so many. */
  readonly perDocument?: number | undefined
}

export interface Lists<C> {
  readonly dense: readonly C[]
  readonly keyword: readonly C[]
}

/** Candidates of each kind that are fused: fixed for a given k, so that equal requests see equal lists. */
export const windowOf = (k: number): number => Math.max(50, 3 * k)

/** One list of both, by score, then id. A keyword list that found nothing leaves the cosine as the score. */
export function rank<C extends Ranked>({ dense, keyword }: Lists<C>, { mode, weights }: RankingWish): C[] {
  if (mode !== 'hybrid' || keyword.length === 0) return [...dense, ...keyword].sort(byScoreThenId)
  const byId = new Map([...keyword, ...dense].map((candidate) => [candidate.id, candidate]))
  const fused = fuse({ dense, keyword, k: byId.size, ...(weights && { weights }) })
  return fused.map(({ id, score }) => ({ ...byId.get(id)!, score }))
}

/** The first `k` that may be answered; none of the document `except`. */
export function take<C extends Ranked & { readonly key: string }>(
  ranked: readonly C[],
  { k, scoreMin = Number.NEGATIVE_INFINITY, perDocument = Number.POSITIVE_INFINITY }: RankingWish,
  except: string | null = null,
): C[] {
  const taken = new Map<string, number>()
  const hits: C[] = []
  for (const candidate of ranked) {
    if (hits.length === k || candidate.score < scoreMin) break
    const before = taken.get(candidate.key) ?? 0
    if (candidate.key === except || before >= perDocument) continue
    taken.set(candidate.key, before + 1)
    hits.push(candidate)
  }
  return hits
}
