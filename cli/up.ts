import { join } from 'node:path'
import { Command } from 'commander'
import { portsFrom } from '../infra/local/ports.ts'
import { progressReporter } from '../infra/local/progress.ts'
import { runStack } from '../infra/local/run-stack.ts'
import { credentialsOf, doorCertificate, writeOperatorConfig } from '../infra/local/secure/credentials.ts'
import { secured } from '../infra/local/secure/secured.ts'
import { localSettings } from '../infra/local/settings.ts'
import type { Stack } from '../infra/local/stack.ts'
import { loadConfig, platformConfig } from '../services/config.ts'
import { sourcesOf } from '../services/sources.ts'
import { credentialsPath } from './connection.ts'
import { consoleLink } from './console-link.ts'
import { ensureOwnKey } from './local-secrets.ts'
import { ingestReadmes } from './readmes.ts'
import { localRoles } from './roles.ts'

export function up(): Command {
  return new Command('up')
    .description('Starts everything on this machine, without containers, and runs until Ctrl-C.')
    .option(
      '--secure',
      'with TLS, users, access lists and keys, all made here; its data lies in the folder secure of the data folder',
    )
    .option('--no-sample', 'do not ingest the READMEs of the installed packages on the first run')
    .addHelpText('after', '\nExample: FRESHET_PORT_BASE=19000 FRESHET_DATA=/tmp/freshet freshet up')
    .action(async ({ sample, secure }: { sample: boolean; secure?: true }) => {
      const { settings, options, toOperate } = secure ? await securely() : openly()
      const began = performance.now()
      process.exitCode = await runStack(
        { ...settings, ...options, report: progressReporter(process.stderr) },
        async (stack, signal) => {
          if (toOperate !== null)
            Object.assign(process.env, { FRESHET_CONFIG: toOperate, FRESHET_DATA: settings.dataDir })
          console.log(`\nFreshet runs, after ${seconds(performance.now() - began)}.`)
          stack.connectReady.then(() => console.log(`Kafka Connect serves at ${stack.urls.connect}`)).catch(() => {})
          await ensureOwnKey(settings.dataDir)
          if (sample) await ingestReadmes(settings, signal)
          console.log(whatNext(stack, settings.dataDir, toOperate, process.stdout.isTTY))
          // It runs until it is asked to stop.
          return undefined
        },
      )
    })
}

/** Whoever is on this machine is let in. */
function openly() {
  const settings = localSettings(process.env)
  return { settings, options: { roles: localRoles(settings) }, toOperate: null }
}

/** Nobody is let in without what lies in the data folder. */
async function securely() {
  const open = localSettings(process.env)
  if (open.qdrantUrl !== null)
    throw new Error('FRESHET_QDRANT_URL is set, and --secure starts a Qdrant of its own; leave one of them out')
  const settings = { ...open, dataDir: join(open.dataDir, 'secure') }
  const ports = portsFrom(settings.portBase)
  const config = loadConfig(platformConfig, { env: process.env })
  const made = await secured(settings.dataDir, new Date())
  const roles = localRoles(settings, {}, (role) => ({
    ...credentialsOf(made, ports, role),
    ...(role === 'gateway' && doorCertificate(made)),
  }))
  const toOperate = writeOperatorConfig(made, ports, settings)
  return {
    settings,
    options: { roles, secure: { made, topicPrefix: config.topicPrefix, sources: sourcesOf(config).slice(1) } },
    toOperate,
  }
}

const seconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

function whatNext({ ports, urls }: Stack, dataDir: string, config: string | null, isRead: boolean): string {
  const door = config === null ? 'http' : 'https'
  const as = config === null ? '' : `FRESHET_CONFIG=${config} `
  return `
What to do next, in another terminal:
  ${as}npx freshet search "commit offsets manually after processing a batch"
  ${as}npx freshet ingest README.md docs
  ${as}npx freshet publish hello "Freshness is what we are for." --title Hello
  ${as}npx freshet status

Console ${consoleLink(`${door}://127.0.0.1:${ports.gateway}`, credentialsPath(dataDir), isRead)}
Gateway ${door}://127.0.0.1:${ports.gateway} (WebSocket at /v1/ws), with the API key in ${credentialsPath(dataDir)}
Kafka ${urls.kafka}, schema registry ${urls.registry}/apis/ccompat/v7
Metrics http://127.0.0.1:${ports.workerMetrics}/metrics, and of query and gateway at ${ports.queryMetrics} and ${ports.gatewayMetrics}
${config === null ? '' : `Passwords, tokens, keys and the authority to trust are in ${join(dataDir, 'secrets')}\n`}Ctrl-C stops everything; the data stays.`
}
