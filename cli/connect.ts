import { Command } from 'commander'
import { carryOut, refusals } from '../connectors/kafka-connect/carry-out.ts'
import { type ConnectClient, connectClient } from '../connectors/kafka-connect/client.ts'
import { declaredIn } from '../connectors/kafka-connect/declared.ts'
import { type Plan, planOf } from '../connectors/kafka-connect/reconcile.ts'
import { callerConfig, loadConfig } from '../services/config.ts'
import { confirm } from './confirm.ts'
import { connectSteering } from './connect-steering.ts'
import { planLines } from './connect-words.ts'

/** Connectors of Kafka Connect, from a folder that says which there are to be. */
export function connect(): Command {
  const command = new Command('connect')
    .description('Kafka Connect: makes its connectors what a folder of files says, and shows how they are.')
    .addCommand(plan())
    .addCommand(apply())
  for (const each of connectSteering(localConnect)) command.addCommand(each)
  return command
}

interface Options {
  readonly prune?: true
  readonly yes?: true
  readonly json?: true
}

function plan(): Command {
  return new Command('plan')
    .description('Shows what apply would change, and what Connect has against it. Changes nothing.')
    .argument('<path>', 'folder of connector files (YAML or JSON), or one file')
    .option('--prune', 'also delete connectors that no file declares')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExample: freshet connect plan connectors/kafka-connect/configurations/postgres-source.yaml',
    )
    .action(async (path: string, options: Options) => {
      const { plan, refused } = await lookAt(path, options, localConnect())
      show(plan, refused, options)
      if (refused.length > 0) process.exitCode = 1
    })
}

function apply(): Command {
  return new Command('apply')
    .description(
      'Shows the differences, asks, and makes them so; waits until every changed connector runs or has failed.',
    )
    .argument('<path>', 'folder of connector files (YAML or JSON), or one file')
    .option('--prune', 'also delete connectors that no file declares')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'as JSON')
    .addHelpText(
      'after',
      '\nExample: freshet connect apply --yes connectors/kafka-connect/configurations/file-source.yaml',
    )
    .action(async (path: string, options: Options) => {
      const client = localConnect()
      const { plan, refused } = await lookAt(path, options, client)
      if (!options.json) show(plan, refused, options)
      if (refused.length > 0) throw new Error(`nothing was changed: ${refused.join('; ')}`)
      if (plan.steps.length > 0 && !options.yes && !(await confirm(`Change ${plan.steps.length} as shown?`))) return
      const outcomes = await carryOut(plan, client)
      if (options.json) console.log(JSON.stringify({ ...plan, outcomes }, null, 2))
      else
        for (const { name, outcome, cause } of outcomes) console.log(`${name}: ${outcome}${cause ? `: ${cause}` : ''}`)
      if (outcomes.some(({ cause }) => cause !== null)) process.exitCode = 1
    })
}

async function lookAt(path: string, options: Options, client: ConnectClient) {
  const declared = declaredIn(path)
  const plan = planOf(declared, await client.connectors(), { prune: options.prune === true })
  return { plan, refused: await refusals(plan, client) }
}

function show(plan: Plan, refused: readonly string[], { json }: Options): void {
  if (json) return console.log(JSON.stringify({ ...plan, refused }, null, 2))
  for (const line of planLines(plan)) console.log(line)
  for (const line of refused) console.log(`! ${line}`)
}

function localConnect(): ConnectClient {
  const { connectUrl, portBase } = loadConfig(callerConfig, { env: process.env })
  return connectClient(connectUrl ?? `http://127.0.0.1:${portBase + 83}`)
}
