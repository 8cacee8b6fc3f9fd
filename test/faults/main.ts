import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { progressReporter } from '../../infra/local/progress.ts'
import { runStack } from '../../infra/local/run-stack.ts'
import { localSettings } from '../../infra/local/settings.ts'
import { keepLogsIn } from '../process.ts'
import { campaign } from './campaign.ts'
import { lineOf, type Report, tableHead } from './report.ts'
import type { RowSet } from './row.ts'
import { rows } from './rows.ts'

/** `npm run faults -- --set fast|full`: hurts real processes under load, and lets the oracle judge what is left. */
const { values: flags } = parseArgs({
  options: {
    set: { type: 'string', default: 'fast' },
    only: { type: 'string' },
    seed: { type: 'string', default: '20261124' },
    out: { type: 'string' },
    shared: { type: 'boolean', default: false },
    verbose: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})

const usage = `npm run faults -- [options]
  --set fast|full   fast: the rows of npm test, in minutes; full: all rows, for evidence
  --only F1,F14     these rows only, of whatever set
  --seed 20261124   of the load and of the faults
  --out FILE        writes the report there after each row, as JSON
  --shared          uses the stack that runs at FRESHET_PORT_BASE, instead of one of its own
  --verbose         says what each row does
FRESHET_PORT_BASE, FRESHET_DATA and FRESHET_TOOLS say where the stack lies, as for npm start.`

const wanted = flags.only?.split(',').map((id) => id.trim())
const unknown = wanted?.filter((id) => !rows.some((row) => row.id === id)) ?? []
const known = flags.set === 'fast' || flags.set === 'full'
if (flags.help || unknown.length > 0 || !known) {
  if (unknown.length > 0)
    console.error(`there is no row ${unknown.join(', ')}; there are ${rows.map(({ id }) => id).join(', ')}`)
  if (!known) console.error(`--set is ${flags.set}; it must be fast or full`)
  console.error(usage)
  process.exit(flags.help ? 0 : 2)
}
const set = flags.set as RowSet
const chosen = rows.filter((row) => (wanted ? wanted.includes(row.id) : row.sets.includes(set)))

async function run(): Promise<number> {
  process.stdout.write(`${tableHead}\n`)
  const report: Report = await campaign(chosen, {
    set,
    seed: Number(flags.seed),
    told(row, soFar) {
      process.stdout.write(`${lineOf(row)}\n`)
      // After each row: whoever ends an hour's run keeps what it has found.
      if (flags.out !== undefined) writeFileSync(flags.out, `${JSON.stringify(soFar, null, 2)}\n`)
    },
    say: (text) => flags.verbose && process.stderr.write(`  ${text}\n`),
  })
  process.stdout.write(
    `${report.passed} passed, ${report.failed} failed, ${report.cannot} cannot be done here; seed ${report.seed}, ${report.seconds.toFixed(0)} s\n`,
  )
  return report.failed === 0 && report.passed > 0 ? 0 : 1
}

const settings = localSettings(process.env)
keepLogsIn(join(settings.dataDir, 'logs'))
if (flags.shared) process.exit(await run())
const parts = ['kafka', 'registry', 'qdrant'] as const
const report = progressReporter(process.stderr, { quiet: true })
process.exit(await runStack({ ...settings, parts: [...parts], report }, run))
