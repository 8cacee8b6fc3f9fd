import type { Account } from '../oracle/accounts.ts'
import type { Counts } from '../oracle/judge.ts'
import type { Finding, Invariant } from '../oracle/world.ts'

export interface RowReport {
  readonly id: string
  readonly title: string
  readonly result: 'pass' | 'fail' | 'cannot'
  /** Why this machine cannot do it, or why it failed before it could be judged. */
  readonly reason?: string
  readonly findings: readonly Finding[]
  /** How many findings there were beyond those that are listed. */
  readonly moreFindings: number
  readonly compared: Readonly<Partial<Record<Invariant, number>>>
  /** Invariants that the fault suspends, and why. */
  readonly excepted: Readonly<Partial<Record<Invariant, string>>>
  readonly counts?: Counts & { readonly kills: number; readonly refusals: number }
  readonly accounts?: readonly Account[]
  /** What the row itself measured. */
  readonly figures: Readonly<Record<string, number>>
  readonly seconds: number
}

export interface Report {
  readonly at: string
  readonly set: string
  readonly seed: number
  readonly commit: string
  readonly versions: Readonly<Record<string, string>>
  readonly rows: readonly RowReport[]
  readonly passed: number
  readonly failed: number
  readonly cannot: number
  readonly seconds: number
}

export const tableHead =
  'row   result   events  kills  docs   points  offsets  garbage  answers  recovery  seconds  what'

/** One line for each row, and one for each thing that was found. */
export function lineOf({ id, result, title, counts, figures, findings, reason, seconds }: RowReport): string {
  const recovery = figures['recovery seconds']
  const cells = [
    id.padEnd(5),
    result.padEnd(6),
    ...[
      counts?.events,
      counts?.kills,
      counts?.documents,
      counts?.points,
      counts?.offsets,
      counts?.garbage,
      counts?.answers,
    ].map((each, i) => String(each ?? '-').padStart([8, 6, 5, 8, 8, 8, 8][i]!)),
    (recovery === undefined ? '-' : `${recovery.toFixed(1)} s`).padStart(9),
    seconds.toFixed(0).padStart(8),
    ` ${title}`,
  ]
  const more = [
    ...(reason === undefined ? [] : [reason]),
    ...findings.slice(0, LINES_MAX).map(({ invariant, what }) => `${invariant} ${what}`),
  ]
  return [cells.join(' '), ...more.map((line) => `        ${line}`)].join('\n')
}

const LINES_MAX = 12
