import { Gauge, type Registry } from 'prom-client'
import type { QuotaBuckets } from './quotas.ts'

/** What is left of quotas in this process, of those with least. */
export function quotaMetrics(register: Registry, left: () => ReturnType<QuotaBuckets['left']>): void {
  new Gauge({
    name: 'freshet_quota_left_ratio',
    help: 'What is left of what may be spent at once, 1 for all of it, of the fifty with least.',
    labelNames: ['of', 'measure'],
    registers: [register],
    collect() {
      this.reset()
      for (const { name, measure, share } of left()) this.set({ of: name, measure }, share)
    },
  })
}
