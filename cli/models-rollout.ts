import { Command, InvalidArgumentError, Option } from 'commander'
import type { RolloutFacts, RolloutGoal, RolloutStep, Target } from '../maintenance/rollout.ts'
import { runRollout } from '../maintenance/rollout-loop.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { configuredFor, modelIn, spaceIn } from '../services/engine.ts'
import { auditLines } from './audit-words.ts'
import { modelStatuses } from './models-status.ts'
import { withRollingOut } from './rolling-out.ts'

interface Json {
  readonly json?: true
}

/** From a model to another while search goes on: the steps that people decide about, each a command. */
export function rolloutCommands(): Command[] {
  return [
    step(
      'rollout',
      'Fills a collection with what another model makes of documents, compares it, and lets it follow; it answers nobody yet.',
    )
      .argument('<model>', 'NAME@VERSION, as freshet models list has it')
      .addHelpText('after', '\nExample: freshet models rollout bge-small-en-v1.5-q@1')
      .action((model: string, options: Json) => reach({ to: 'rollout', target: targetOf(model) }, options)),
    step('canary', 'Lets the model that is on its way answer some: always the same ones.')
      .option('--percent <number>', 'so many of a hundred', percent, 0)
      .option('--tenants <names>', 'these tenants, with commas between', names, [])
      .addOption(
        new Option('--by <who>', 'what is counted, and stays together')
          .choices(['tenant', 'subject'])
          .default('tenant'),
      )
      .addHelpText('after', '\nExample: freshet models canary --percent 5')
      .action((options: Json & { percent: number; tenants: string[]; by: string }, command: Command) => {
        const { percent, tenants, by } = options
        if (percent === 0 && tenants.length === 0)
          command.error(
            'error: say whom it is to answer: --percent 5, or --tenants acme (freshet models rollback: nobody)',
          )
        return reach({ to: 'canary', percent, tenants, by }, options)
      }),
    simple('promote', 'Lets the model that is on its way answer everybody; the former one goes on following.'),
    simple('rollback', 'Lets the former model answer again; while the new one is only a canary, ends that.'),
    simple(
      'retire',
      'Removes the former model’s collection. Its vectors stay in Kafka, so that a later rollout of it is quick.',
    ),
    simple('abort', 'Removes the model that is on its way.'),
  ]
}

const step = (name: string, about: string): Command =>
  new Command(name).description(`${about} Interrupted anywhere, the same command goes on.`).option('--json', 'as JSON')

const simple = (to: 'promote' | 'rollback' | 'retire' | 'abort', about: string): Command =>
  step(to, about)
    .addHelpText('after', `\nExample: freshet models ${to}`)
    .action((options: Json) => reach({ to }, options))

function reach(goal: RolloutGoal, { json }: Json): Promise<void> {
  const interrupted = new AbortController()
  process.once('SIGINT', () => interrupted.abort(new Error('interrupted; the same command goes on from here')))
  return withRollingOut(async (world) => {
    const said = progressOn(process.stderr)
    const report = await runRollout(goal, world, said, interrupted.signal)
    const models = modelStatuses(await world.facts())
    if (report.outcome === 'refused') process.exitCode = 1
    if (json) return console.log(JSON.stringify({ ...report, models }, null, 2))
    for (const verification of report.verifications) console.log(auditLines(verification, { repair: true }).join('\n'))
    console[report.outcome === 'done' ? 'log' : 'error'](report.say)
  })
}

/** Of NAME, or NAME@VERSION: as the repository of models here has it. */
export function targetOf(model: string): Target {
  const config = loadConfig(workerConfig, { env: process.env })
  const isHash = config.engine === 'hash' || /^hash(@|$)/.test(model)
  if (isHash && config.engine !== 'hash') throw new Error('the model hash is for tests; FRESHET_ENGINE=hash allows it')
  const named = { ...config, engine: isHash ? ('hash' as const) : ('model' as const), model }
  const meant = modelIn(named)
  const { id, dimensions } = spaceIn(configuredFor(config, meant))
  return { ...meant, space: id, dimensions }
}

/** Each step, as it is done; of what is waited for only what is new, or how far it is now and then. */
export function progressOn(out: NodeJS.WriteStream): (step: RolloutStep, facts: RolloutFacts) => void {
  let last = ''
  let drawnAt = 0
  return ({ do: doing, say, ...step }, { now }) => {
    if (doing === 'done' || doing === 'refuse') return
    if (doing === 'wait' && 'lag' in step && step.lag !== undefined) {
      if (now - drawnAt < LAG_EVERY_MS && last === 'lag') return
      last = 'lag'
      drawnAt = now
      const { left, positions } = step.lag
      const share = positions === 0 ? 100 : Math.floor(((positions - left) / positions) * 100)
      out.write(`${say} (${share} %)\n`)
      return
    }
    if (doing === 'wait' && say === last) return
    last = say
    out.write(`${say}\n`)
  }
}

const LAG_EVERY_MS = 2_000

function percent(text: string): number {
  const number = Number(text)
  if (text === '' || !(number >= 0 && number <= 100)) throw new InvalidArgumentError('give a number from 0 to 100.')
  return number
}

const names = (text: string): string[] =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
