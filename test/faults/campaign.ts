import { execFileSync } from 'node:child_process'
import { pathToFileURL } from 'node:url'
import { repositoryDir } from '../../infra/local/settings.ts'
import { reasonOf } from '../../streams/errors.ts'
import { judge } from '../oracle/judge.ts'
import { worldOf } from '../oracle/platform-world.ts'
import { sinceEpoch } from '../oracle/since-epoch.ts'
import type { Finding, Invariant } from '../oracle/world.ts'
import { openArena } from './arena.ts'
import type { Report, RowReport } from './report.ts'
import type { Row, RowSet } from './row.ts'

export interface CampaignOptions {
  readonly set: RowSet
  readonly seed: number
  /** Called when a row has ended, with the report so far. */
  told(row: RowReport, report: Report): void
  say(text: string): void
}

/** Every row, one after the other: load, fault, heal, oracle. */
export async function campaign(rows: readonly Row[], { set, seed, told, say }: CampaignOptions): Promise<Report> {
  const began = performance.now()
  const at = new Date().toISOString()
  const commit = execFileSync('git', ['describe', '--always', '--dirty'], {
    cwd: repositoryDir,
    encoding: 'utf8',
  }).trim()
  const versions = { node: process.version, platform: `${process.platform} ${process.arch}` }
  const reports: RowReport[] = []
  const withResult = (result: RowReport['result']) => reports.filter((row) => row.result === result).length
  const report = (): Report => ({
    at,
    set,
    seed,
    commit,
    versions,
    rows: reports,
    passed: withResult('pass'),
    failed: withResult('fail'),
    cannot: withResult('cannot'),
    seconds: (performance.now() - began) / 1_000,
  })
  for (const row of rows) {
    const ended = await runRow(row, set, seed, say)
    reports.push(ended)
    told(ended, report())
  }
  return report()
}

/** What every row must have compared, or it has shown nothing. */
const always: readonly Invariant[] = ['I1', 'I2', 'I5', 'I6', 'I7', 'I8', 'I9', 'I10']
const withReaders: readonly Invariant[] = ['I3', 'I4']
const FINDINGS_MAX = 40

async function runRow(row: Row, set: RowSet, seed: number, say: (text: string) => void): Promise<RowReport> {
  const began = performance.now()
  const { id, title, needs = {} } = row
  const empty = { id, title, findings: [], moreFindings: 0, compared: {}, excepted: needs.excepts ?? {}, figures: {} }
  const seconds = () => (performance.now() - began) / 1_000
  const reason = row.cannot?.() ?? null
  if (reason !== null) return { ...empty, result: 'cannot', reason, seconds: seconds() }
  try {
    await using arena = await openArena(needs, { set, seed, say: (text) => say(`${id}: ${text}`) })
    await row.run(arena.context)
    const seen = await arena.settle()
    const world = await worldOf(arena.context.platform, { sent: arena.context.load.sent, ...seen })
    const required = [...always, ...withReaders, ...(needs.shows ?? [])].filter(
      (each) => each !== 'I8' && !needs.excepts?.[each],
    )
    const verdict = await judge(arena.since === null ? world : sinceEpoch(world, arena.since), required)
    const findings: Finding[] = [...arena.findings, ...verdict.findings].filter(
      ({ invariant }) => invariant === 'row' || !needs.excepts?.[invariant],
    )
    if (arena.recoveries === 0 && !needs.excepts?.I8)
      findings.push({ invariant: 'I8', what: 'no recovery was measured' })
    return {
      ...empty,
      result: findings.length === 0 ? 'pass' : 'fail',
      findings: findings.slice(0, FINDINGS_MAX),
      moreFindings: Math.max(0, findings.length - FINDINGS_MAX),
      compared: { ...verdict.compared, I8: arena.recoveries },
      counts: { ...verdict.counts, kills: arena.kills, refusals: arena.refusals },
      accounts: verdict.accounts,
      figures: arena.figures,
      seconds: seconds(),
    }
  } catch (error) {
    const stack = error instanceof Error ? (error.stack ?? '') : ''
    // A report is kept: where the repository lies on this machine is nobody's matter.
    const placed = stack.replaceAll(`${pathToFileURL(repositoryDir)}/`, '')
    return { ...empty, result: 'fail', reason: `${reasonOf(error)}\n${placed}`, seconds: seconds() }
  }
}
