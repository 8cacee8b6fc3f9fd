export interface QuotaUse {
  readonly role: string
  readonly of: string
  readonly measure: string
  /** 1: all that may be spent at once is there. */
  readonly share: number
}

/** What the roles on this machine tell in their metrics; of one that does not answer, nothing is known. */
export async function quotaUse(ports: { readonly worker: number; readonly queryAdmin: number }): Promise<QuotaUse[]> {
  const roles = { worker: ports.worker, query: ports.queryAdmin }
  const told = await Promise.all(
    Object.entries(roles).map(async ([role, port]) => {
      try {
        const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(2_000) })
        return usesIn(await response.text()).map((use) => ({ role, ...use }))
      } catch {
        return []
      }
    }),
  )
  return told.flat()
}

/** Of the text that Prometheus reads. */
export function usesIn(metrics: string): Omit<QuotaUse, 'role'>[] {
  return metrics.split('\n').flatMap((line) => {
    if (!line.startsWith('freshet_quota_left_ratio{')) return []
    const of = /[{,]of="([^"]*)"/.exec(line)?.[1]
    const measure = /[{,]measure="([^"]*)"/.exec(line)?.[1]
    const share = Number(line.slice(line.lastIndexOf(' ') + 1))
    return of === undefined || measure === undefined ? [] : [{ of, measure, share }]
  })
}
