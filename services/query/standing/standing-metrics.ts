import { Gauge, Histogram, type Registry } from 'prom-client'
import type { Why } from './entry.ts'
import type { StandingQueries } from './standing-queries.ts'

/** What standing queries cost; the answer is told each evaluation. */
export function standingMetrics(
  metrics: Registry,
  standing: () => Pick<StandingQueries, 'size' | 'behind'>,
): (why: Why, ms: number) => void {
  const registers = [metrics]
  new Gauge({
    name: 'freshet_standing_queries',
    help: 'Different standing queries in this process: all, and those that are not as the index is yet.',
    labelNames: ['state'],
    registers,
    collect() {
      this.set({ state: 'all' }, standing().size)
      this.set({ state: 'behind' }, standing().behind)
    },
  })
  const seconds = new Histogram({
    name: 'freshet_standing_evaluation_seconds',
    help: 'Searches for standing queries: the first, since a change touched one, and since it is time again.',
    labelNames: ['why'],
    registers,
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5],
  })
  return (why, ms) => seconds.observe({ why }, ms / 1_000)
}
