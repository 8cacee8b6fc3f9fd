import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { progressReporter } from '../../infra/local/progress.ts'
import { runStack } from '../../infra/local/run-stack.ts'
import { localSettings, repositoryDir } from '../../infra/local/settings.ts'
import { keepLogsIn } from '../process.ts'
import { rollOut } from './run.ts'

/**
 * A rollout from one model to another over real documents, while documents are changed and deleted and searches go on, then back:
 * `node test/rollout/main.ts --documents 3000 --searches 10000 [--kill --engine hash --to hash@2] [--out FILE]`, on a stack of its own.
 */
const { values: flags } = parseArgs({
  options: {
    documents: { type: 'string', default: '3000' },
    searches: { type: 'string', default: '10000' },
    engine: { type: 'string', default: 'model' },
    to: { type: 'string', default: 'bge-small-en-v1.5-q@1' },
    changes: { type: 'string', default: '3' },
    seed: { type: 'string', default: '20261124' },
    kill: { type: 'boolean', default: false },
    /** What else ran on the machine, for the report. */
    beside: { type: 'string', default: 'not said' },
    shared: { type: 'boolean', default: false },
    out: { type: 'string' },
  },
})
const settings = localSettings(process.env)

async function run(): Promise<number> {
  const at = new Date().toISOString()
  const describe = ['describe', '--always', '--dirty']
  const commit = execFileSync('git', describe, { cwd: repositoryDir, encoding: 'utf8' }).trim()
  const load = [loadavg()[0]!]
  const result = await rollOut({
    documents: Number(flags.documents),
    searches: Number(flags.searches),
    engine: flags.engine === 'hash' ? 'hash' : 'model',
    to: flags.to,
    changes: Number(flags.changes),
    seed: Number(flags.seed),
    kill: flags.kill,
    modelsDir: process.env.FRESHET_MODELS_DIR ?? join(settings.toolsDir, 'models'),
    dataDir: settings.dataDir,
    say: (text) => process.stderr.write(`  ${text}\n`),
  })
  load.push(loadavg()[0]!)
  const machine = { cores: availableParallelism(), loadBeforeAndAfter: load, beside: flags.beside }
  const versions = { node: process.version, platform: `${process.platform} ${process.arch}` }
  const { engine, kill, to: model } = flags
  const report = `${JSON.stringify({ at, commit, versions, machine, engine, model, kill, ...result }, null, 2)}\n`
  process.stdout.write(report)
  if (flags.out !== undefined) writeFileSync(flags.out, report)
  const { scores, readYourWrites, standing, serving, audits, turns } = result
  const isGood =
    result.failed === 0 &&
    result.empty === 0 &&
    scores.mixed === 0 &&
    scores.compared > 0 &&
    scores.explainedByTheOther < scores.compared / 100 &&
    turns.every((count) => count === 2) &&
    readYourWrites.wentBack === 0 &&
    readYourWrites.met > 0 &&
    standing.every(({ isRightAtRest, unsaid, epochs }) => isRightAtRest && unsaid === 0 && epochs >= 3) &&
    serving.promoted === true &&
    serving.rolledBack === true &&
    Object.values(audits).every((inSync) => inSync) &&
    result.searches >= Number(flags.searches)
  return isGood ? 0 : 1
}

mkdirSync(settings.dataDir, { recursive: true })
keepLogsIn(join(settings.dataDir, 'logs'))
if (flags.shared) process.exit(await run())
const report = progressReporter(process.stderr, { quiet: true })
process.exit(await runStack({ ...settings, parts: ['kafka', 'registry', 'qdrant'], report }, run))
