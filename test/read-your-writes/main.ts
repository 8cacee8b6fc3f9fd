import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { progressReporter } from '../../infra/local/progress.ts'
import { runStack } from '../../infra/local/run-stack.ts'
import { localSettings, repositoryDir } from '../../infra/local/settings.ts'
import { keepLogsIn } from '../process.ts'
import { readYourWrites } from './run.ts'

/** `node test/read-your-writes/main.ts --pairs 10000 [--kill] [--engine model] [--seed N] [--out FILE]`, on a stack of its own. */
const { values: flags } = parseArgs({
  options: {
    pairs: { type: 'string', default: '10000' },
    troubles: { type: 'string', default: '6' },
    kill: { type: 'boolean', default: false },
    patient: { type: 'string', default: '40' },
    hasty: { type: 'string', default: '3' },
    load: { type: 'string', default: '20' },
    engine: { type: 'string', default: 'hash' },
    seed: { type: 'string', default: '1' },
    /** What else ran on the machine, for the report. */
    beside: { type: 'string', default: 'not said' },
    /** For one who looks whether it would be seen: this share of the searches do not ask for what was written. */
    unasked: { type: 'string', default: '0' },
    shared: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})

async function run(): Promise<number> {
  const at = new Date().toISOString()
  const commit = execFileSync('git', ['describe', '--always', '--dirty'], {
    cwd: repositoryDir,
    encoding: 'utf8',
  }).trim()
  const load = [loadavg()[0]!]
  const result = await readYourWrites({
    seed: Number(flags.seed),
    pairs: Number(flags.pairs),
    trouble: flags.kill ? 'kill' : 'freeze',
    troubles: Number(flags.troubles),
    patient: Number(flags.patient),
    hasty: Number(flags.hasty),
    loadRecordsPerSecond: Number(flags.load),
    engine: flags.engine === 'model' ? 'model' : 'hash',
    unasked: Number(flags.unasked),
    say: (text) => process.stderr.write(`  ${text}\n`),
  })
  load.push(loadavg()[0]!)
  const machine = { cores: availableParallelism(), loadBeforeAndAfter: load, beside: flags.beside }
  const versions = { node: process.version, platform: `${process.platform} ${process.arch}` }
  const report = `${JSON.stringify({ at, commit, versions, machine, ...result }, null, 2)}\n`
  process.stdout.write(report)
  if (flags.out !== undefined) writeFileSync(flags.out, report)
  const { satisfied, stale, unmet } = result.pairs
  return stale === 0 && satisfied > 0 && unmet > 0 ? 0 : 1
}

const settings = localSettings(process.env)
keepLogsIn(join(settings.dataDir, 'logs'))
if (flags.shared) process.exit(await run())
const report = progressReporter(process.stderr, { quiet: true })
process.exit(await runStack({ ...settings, parts: ['kafka', 'registry', 'qdrant'], report }, run))
