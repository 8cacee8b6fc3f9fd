import { canaryOf } from './canaries.ts'
import type { Material } from './material.ts'
import { type Counts, simulate } from './simulation.ts'
import { storyOf } from './story.ts'

/** What a row of seeds came to. */
export interface Row {
  readonly seeds: number
  /** Of each seed at which a promise broke, in order. */
  readonly broken: readonly { readonly seed: number; readonly promise: string; readonly message: string }[]
  readonly totals: Readonly<Record<keyof Counts, number>>
}

export async function runSeeds(
  {
    from,
    seeds,
    canary = null,
    stopAtFirst = false,
  }: { from: number; seeds: number; canary?: string | null; stopAtFirst?: boolean },
  material: Material,
): Promise<Row> {
  const planted = canary === null ? {} : canaryOf(canary)
  const broken: Row['broken'][number][] = []
  const totals: Partial<Record<keyof Counts, number>> = {}
  let seed = from
  for (; seed < from + seeds; seed++) {
    const outcome = await simulate(storyOf(seed), material, { planted })
    for (const [name, count] of Object.entries(outcome.counts) as [keyof Counts, number][])
      totals[name] = (totals[name] ?? 0) + count
    if (outcome.broken === null) continue
    broken.push({ seed, promise: outcome.broken.promise, message: outcome.broken.message })
    if (!stopAtFirst) continue
    seed++
    break
  }
  return { seeds: seed - from, broken, totals: totals as Row['totals'] }
}

export function sumOf(rows: readonly Row[]): Row {
  const totals: Record<string, number> = {}
  for (const row of rows)
    for (const [name, count] of Object.entries(row.totals)) totals[name] = (totals[name] ?? 0) + count
  return {
    seeds: rows.reduce((sum, { seeds }) => sum + seeds, 0),
    broken: rows.flatMap(({ broken }) => broken).sort((a, b) => a.seed - b.seed),
    totals: totals as Row['totals'],
  }
}
