import { Command } from 'commander'
import { progressReporter } from '../infra/local/progress.ts'
import { runStack } from '../infra/local/run-stack.ts'
import { localSettings } from '../infra/local/settings.ts'
import type { Stack } from '../infra/local/stack.ts'
import { credentialsPath } from './connection.ts'
import { ensureOwnKey } from './local-secrets.ts'
import { ingestReadmes } from './readmes.ts'
import { localRoles } from './roles.ts'

export function up(): Command {
  return new Command('up')
    .description('Starts everything on this machine, without containers, and runs until Ctrl-C.')
    .option('--no-sample', 'do not ingest the READMEs of the installed packages on the first run')
    .addHelpText('after', '\nExample: FRESHET_PORT_BASE=19000 FRESHET_DATA=/tmp/freshet freshet up')
    .action(async ({ sample }: { sample: boolean }) => {
      const settings = localSettings(process.env)
      const began = performance.now()
      process.exitCode = await runStack(
        { ...settings, roles: localRoles(settings), report: progressReporter(process.stderr) },
        async (stack, signal) => {
          console.log(`\nFreshet runs, after ${seconds(performance.now() - began)}.`)
          stack.connectReady.then(() => console.log(`Kafka Connect serves at ${stack.urls.connect}`)).catch(() => {})
          await ensureOwnKey(settings.dataDir)
          if (sample) await ingestReadmes(settings, signal)
          console.log(whatNext(stack, settings.dataDir))
          // It runs until it is asked to stop.
          return undefined
        },
      )
    })
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

function whatNext({ ports }: Stack, dataDir: string): string {
  return `
What to do next, in another terminal:
  npx freshet search "commit offsets manually after processing a batch"
  npx freshet ingest README.md docs
  npx freshet publish hello "Freshness is what we are for." --title Hello
  npx freshet status

Gateway http://127.0.0.1:${ports.gateway} (WebSocket at /v1/ws), with the API key in ${credentialsPath(dataDir)}
Kafka 127.0.0.1:${ports.kafka}, schema registry http://127.0.0.1:${ports.registry}/apis/ccompat/v7
Metrics http://127.0.0.1:${ports.workerMetrics}/metrics, and of query and gateway at ${ports.queryMetrics} and ${ports.gatewayMetrics}
Ctrl-C stops everything; the data stays.`
}
