import { Command } from 'commander'
import type { ConnectClient, ConnectorStatus } from '../connectors/kafka-connect/client.ts'
import type { ConnectorState } from '../connectors/kafka-connect/declared.ts'
import { confirm } from './confirm.ts'
import { statusLines } from './connect-words.ts'

/** Connectors that are there: how they are, and what is done with one. */
export function connectSteering(client: () => ConnectClient): Command[] {
  const steer = (name: string, about: string, work: (connector: string, client: ConnectClient) => Promise<void>) =>
    new Command(name)
      .description(about)
      .argument('<name>', 'the connector')
      .option('--json', 'as JSON')
      .addHelpText('after', `\nExample: freshet connect ${name} postgres-source`)
      .action(async (connector: string, { json }: { json?: true }) => {
        await required(client(), connector)
        await work(connector, client())
        console.log(json ? JSON.stringify({ connector, done: name }) : `${connector}: ${name} is asked for`)
      })
  const toState = (name: string, state: ConnectorState, about: string) =>
    steer(name, about, (connector, to) => to.setState(connector, state))
  return [
    status(client),
    steer('restart', 'Starts a connector and those of its tasks again that failed.', (connector, to) =>
      to.restart(connector),
    ),
    toState('pause', 'paused', 'Lets a connector stand still; it keeps its place.'),
    toState('resume', 'running', 'Lets a connector go on.'),
    remove(client),
  ]
}

function status(client: () => ConnectClient): Command {
  return new Command('status')
    .description('Shows the connectors and their tasks, and why those that failed did. Exit code 1 if one failed.')
    .argument('[name]', 'one connector')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet connect status')
    .action(async (name: string | undefined, { json }: { json?: true }) => {
      const shown = name === undefined ? await client().connectors() : [await required(client(), name)]
      // The configuration may hold what somebody wrote into it by hand.
      if (json)
        console.log(
          JSON.stringify(
            shown.map(({ config: _, ...rest }) => rest),
            null,
            2,
          ),
        )
      else for (const line of statusLines(shown)) console.log(line)
      if (shown.some(hasFailed)) process.exitCode = 1
    })
}

function remove(client: () => ConnectClient): Command {
  return new Command('delete')
    .description('Deletes a connector. Connect keeps how far it came: declared again under this name it goes on there.')
    .argument('<name>', 'the connector')
    .option('-y, --yes', 'do not ask')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet connect delete --yes postgres-source')
    .action(async (name: string, { yes, json }: { yes?: true; json?: true }) => {
      await required(client(), name)
      if (!yes && !(await confirm(`Delete ${name}?`))) return
      await client().delete(name)
      console.log(json ? JSON.stringify({ connector: name, done: 'delete' }) : `${name}: deleted`)
    })
}

const hasFailed = ({ phase, tasks }: ConnectorStatus): boolean =>
  phase === 'FAILED' || tasks.some((task) => task.phase === 'FAILED')

async function required(client: ConnectClient, name: string): Promise<ConnectorStatus> {
  const connectors = await client.connectors()
  const found = connectors.find((each) => each.name === name)
  if (found !== undefined) return found
  throw new Error(
    `Connect has no connector ${name}; it has ${connectors.map((each) => each.name).join(', ') || 'none'}`,
  )
}
