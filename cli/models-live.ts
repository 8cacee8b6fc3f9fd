/** What a query service has measured of live searches that it asked of two models. */
export interface LiveFigures {
  readonly searches: number
  /** The mean share of documents that both have. */
  readonly overlap: number
}

/** null: nobody answers, or nothing was measured. */
export async function liveFigures(url: string): Promise<LiveFigures | null> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS) })
    return liveIn(await response.text())
  } catch {
    return null
  }
}

export function liveIn(metrics: string): LiveFigures | null {
  const sumOf = (name: string): number =>
    metrics
      .split('\n')
      .filter((line) => line.startsWith(`${name}{`))
      .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
  const searches = sumOf('freshet_shadow_overlap_count')
  return searches === 0 ? null : { searches, overlap: sumOf('freshet_shadow_overlap_sum') / searches }
}

const TIMEOUT_MS = 2_000
