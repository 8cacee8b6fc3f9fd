import { createInterface } from 'node:readline/promises'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type Estimate, estimateOf, survey } from '../maintenance/estimate.ts'
import { candidateIn, type Facts, type Goal, nextStep } from '../maintenance/rebuild.ts'
import { runRebuild } from '../maintenance/rebuild-loop.ts'
import { loadConfig, rolePorts, workerConfig } from '../services/config.ts'
import { spaceIn } from '../services/engine.ts'
import { openRebuilding, type Rebuilding } from '../services/rebuilding.ts'
import { auditLines } from './audit-words.ts'
import { describeEstimate, describeStatus, rebuildProgress, statusOf } from './rebuild-progress.ts'
import { measuredRates } from './rebuild-rates.ts'

interface Options {
  readonly status?: true
  readonly abort?: true
  readonly rollback?: true
  readonly retire?: true
  readonly retireAfter?: number
  readonly yes?: true
  readonly json?: true
}

export function rebuild(): Command {
  const alone = ['abort', 'rollback', 'retire', 'retireAfter', 'status']
  const only = (flag: string, about: string, name: string) =>
    new Option(flag, about).conflicts(alone.filter((other) => other !== name))
  return new Command('rebuild')
    .description(
      'Fills a new collection from vectors beside live traffic, compares it with documents, and lets it serve. Interrupted anywhere, the same command goes on.',
    )
    .option('--yes', 'do not ask before it starts')
    .addOption(only('--status', 'show the collections and the next step, and change nothing', 'status'))
    .addOption(only('--abort', 'remove the collection that is on its way', 'abort'))
    .addOption(only('--rollback', 'let the collection that served before serve again', 'rollback'))
    .addOption(only('--retire', 'remove the collection that served before', 'retire'))
    .addOption(
      only(
        '--retire-after <minutes>',
        'rebuild, keep the former collection that long, then remove it',
        'retireAfter',
      ).argParser(minutes),
    )
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet rebuild --yes')
    .action(async (options: Options) => {
      const config = loadConfig(workerConfig, { env: process.env })
      const interrupted = new AbortController()
      process.once('SIGINT', () => interrupted.abort(new Error('interrupted; the same command goes on from here')))
      const world = await openRebuilding(config, spaceIn(config))
      try {
        await run(options, world, config, interrupted.signal)
      } finally {
        await world.close()
      }
    })
}

type Config = ReturnType<typeof loadConfig<typeof workerConfig>>

async function run(options: Options, world: Rebuilding, config: Config, signal: AbortSignal): Promise<void> {
  const { json } = options
  const first = await world.facts()
  if (options.status) {
    const status = statusOf(first)
    return console.log(json ? JSON.stringify(status, null, 2) : describeStatus(status))
  }
  const goal = goalOf(options)
  if (goal === 'rebuild' && begins(first)) {
    const estimate = await estimateNow(world, config, signal)
    if (!json) console.error(describeEstimate(estimate, first.serving))
    if (!(await confirmed(options))) {
      if (json) console.log(JSON.stringify({ outcome: 'not confirmed', estimate }, null, 2))
      console.error('nothing was begun; freshet rebuild --yes begins without asking')
      process.exitCode = 2
      return
    }
  }
  const progress = rebuildProgress(process.stderr)
  const report = await runRebuild(goal, world, progress.step, signal).finally(progress.close)
  if (report.outcome === 'done' && options.retireAfter !== undefined) {
    console.error(`${report.say}; it is removed in ${options.retireAfter} minutes`)
    await world.wait(options.retireAfter * 60_000, signal)
    signal.throwIfAborted()
    const retired = await runRebuild('retire', world, progress.step, signal).finally(progress.close)
    return tell({ ...retired, verifications: report.verifications }, await world.facts(), json)
  }
  tell(report, await world.facts(), json)
}

const goalOf = ({ abort, rollback, retire }: Options): Goal =>
  abort ? 'abort' : rollback ? 'rollback' : retire ? 'retire' : 'rebuild'

/** What goes on was confirmed when it began; what ends at once needs no asking. */
function begins(facts: Facts): boolean {
  return candidateIn(facts) === null && nextStep('rebuild', facts).do === 'declare'
}

async function estimateNow(world: Rebuilding, config: Config, signal: AbortSignal): Promise<Estimate> {
  const [found, present, measured] = await Promise.all([
    survey(world, signal),
    world.count(),
    measuredRates(`http://127.0.0.1:${rolePorts(config).worker}/metrics`),
  ])
  return estimateOf(found, present, {
    ...measured,
    recordsPerSecondMax: config.rebuildRecordsPerSecondMax,
    pricePerThousandEmbeddings: config.embeddingPricePerThousand ?? null,
  })
}

async function confirmed({ yes }: Options): Promise<boolean> {
  if (yes) return true
  if (!process.stdin.isTTY) return false
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const answer = await terminal.question('Begin? [y/N] ')
  terminal.close()
  return /^y(es)?$/i.test(answer.trim())
}

function tell(report: Awaited<ReturnType<typeof runRebuild>>, facts: Facts, json: true | undefined): void {
  if (report.outcome === 'refused') process.exitCode = 1
  if (json) return console.log(JSON.stringify({ ...report, ...statusOf(facts) }, null, 2))
  for (const verification of report.verifications) console.log(auditLines(verification, { repair: true }).join('\n'))
  console[report.outcome === 'done' ? 'log' : 'error'](report.say)
}

function minutes(text: string): number {
  const number = Number(text)
  if (text === '' || !(number >= 0)) throw new InvalidArgumentError('give minutes, 0 or more.')
  return number
}
