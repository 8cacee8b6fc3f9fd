import { type Account, checkAccounts } from './accounts.ts'
import { checkAnswers } from './answers.ts'
import { withCompacted } from './compacted.ts'
import { historyOf } from './history.ts'
import { checkResources } from './resources.ts'
import { checkServed } from './served.ts'
import { checkWatermarks } from './watermarks.ts'
import type { Checked, Finding, Invariant, World } from './world.ts'

export interface Verdict {
  readonly findings: readonly Finding[]
  /** How many things were compared for each invariant. */
  readonly compared: Readonly<Partial<Record<Invariant, number>>>
  readonly accounts: readonly Account[]
  readonly counts: Counts
}

export interface Counts {
  readonly events: number
  readonly inDoubt: number
  readonly documents: number
  readonly points: number
  readonly served: number
  readonly garbage: number
  readonly offsets: number
  readonly holes: number
  readonly deadLetters: number
  readonly answers: number
}

/**
 * Says whether the promises hold, from what the producers know and what the platform shows. It decides nothing by what
 * the pipeline wrote on the way: what must be served is derived again from the producers' log. `required` are the
 * invariants that this world can show; one of them that compared nothing is a finding.
 */
export async function judge(
  shown: World,
  required: readonly Invariant[] = ['I1', 'I2', 'I5', 'I6', 'I7', 'I10'],
): Promise<Verdict & { readonly garbage: readonly string[] }> {
  const { world, ...compacted } = withCompacted(shown)
  const history = await historyOf(world)
  const served = checkServed(world, history)
  const accounts = checkAccounts(world, history)
  const checks: Checked[] = [
    compacted,
    { findings: history.findings, compared: {} },
    served,
    accounts,
    checkWatermarks(world, history),
    checkAnswers(world, history),
    checkResources(world),
  ]
  const compared: Partial<Record<Invariant, number>> = {}
  for (const check of checks)
    for (const [invariant, count] of Object.entries(check.compared) as [Invariant, number][])
      compared[invariant] = (compared[invariant] ?? 0) + count
  const blind = required
    .filter((invariant) => (compared[invariant] ?? 0) === 0)
    .map((invariant): Finding => ({ invariant, what: 'nothing was compared' }))
  return {
    findings: [...checks.flatMap(({ findings }) => findings), ...blind],
    compared,
    accounts: accounts.accounts,
    garbage: served.garbage,
    counts: {
      events: world.sent.length,
      inDoubt: history.doubts.sent,
      documents: served.documents,
      points: world.points.length,
      served: served.chunks,
      garbage: served.garbage.length,
      offsets: accounts.accounts.reduce((sum, { offsets }) => sum + offsets, 0),
      holes: accounts.accounts.reduce((sum, { holes }) => sum + holes, 0),
      deadLetters: world.deadLetters.length,
      answers: world.answers.length,
    },
  }
}
