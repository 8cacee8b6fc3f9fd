import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { credentialsOf } from '../../infra/local/secure/credentials.ts'
import { repositoryDir } from '../../infra/local/settings.ts'
import {
  adminConfig,
  callerConfig,
  gatewayConfig,
  isSecret,
  queryConfig,
  settings,
  variableOf,
  workerConfig,
} from '../../services/config.ts'
import type { KafkaUser } from '../../services/rights.ts'
import { freePort } from '../process.ts'
import { until } from '../until.ts'
import type { SecureStack } from './secure-stack.ts'

/** A secret that can be recognised wherever it comes out, planted where it does harm. */
export interface Planted {
  readonly setting: string
  readonly canary: string
  /** Everything that was said: log, health, metrics, answers. */
  readonly said: string
}

/** As the schemas have them, so that a new one is not forgotten. */
export const secretSettings: readonly string[] = settings.filter((name) =>
  [workerConfig, queryConfig, gatewayConfig, adminConfig, callerConfig].some((schema) => isSecret(schema, name)),
)

interface Plan {
  readonly user: KafkaUser
  /** The role, or the command with its arguments. */
  readonly run: 'worker' | 'query' | 'gateway' | readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Without these of the credentials that it would have. */
  readonly without?: readonly string[]
  /** What shows that the secret was used, or would have been. */
  readonly shows: RegExp
  /** To be sent to the gateway once it is up: answers count too. */
  readonly asks?: (url: string, canary: string) => Promise<string>
}

const PASSWORD = ['FRESHET_KAFKA_PASSWORD_FILE']
const OAUTH = { FRESHET_KAFKA_SASL_MECHANISM: 'oauthbearer', FRESHET_KAFKA_USERNAME: '' }

/** Where each is planted, so that it is used and refused. */
const plans: Readonly<Record<string, Plan>> = {
  kafkaPassword: { user: 'worker', run: 'worker', without: PASSWORD, shows: /does not let us in by SCRAM-SHA-512/ },
  kafkaOauthToken: { user: 'worker', run: 'worker', without: PASSWORD, env: OAUTH, shows: /the token is not good/ },
  kafkaOauthClientSecret: {
    user: 'worker',
    run: 'worker',
    without: PASSWORD,
    env: { ...OAUTH, FRESHET_KAFKA_OAUTH_CLIENT_ID: 'freshet' },
    shows: /gave no token to kafkaOauthClientId freshet: 401/,
  },
  registryPassword: {
    user: 'query',
    run: 'query',
    without: ['FRESHET_REGISTRY_TOKEN_FILE'],
    env: { FRESHET_REGISTRY_USERNAME: 'query' },
    shows: /the schema registry at .* did not register .*refused us \(401\)/,
  },
  registryToken: {
    user: 'operator',
    run: ['doctor'],
    without: ['FRESHET_REGISTRY_TOKEN_FILE'],
    shows: /does not let us in \(401\); correct registryToken/,
  },
  qdrantApiKey: {
    user: 'query',
    run: 'query',
    without: ['FRESHET_QDRANT_API_KEY_FILE'],
    shows: /it does not let us in: correct qdrantApiKey/,
  },
  embeddingApiKey: {
    user: 'worker',
    run: 'worker',
    env: { FRESHET_EMBEDDING_BACKEND: 'openai', FRESHET_EMBEDDING_DIMENSIONS: '64' },
    // The platform has another model, so that it ends before it asks; what becomes of a key that a service repeats: engine/remote/dispatcher.test.ts.
    shows: /the two are never mixed/,
  },
  internalSecret: { user: 'gateway', run: 'gateway', shows: /gateway ready/, asks: askWrongly },
  apiKey: { user: 'operator', run: ['search', 'anything'], shows: /unauthorized|API key|credential|401/i },
}

/** Every secret planted, each in a process of its own, until it was refused; and all at once in a configuration that is wrong. */
export async function plantAll(secure: SecureStack): Promise<Planted[]> {
  const echo = createServer(async (request, response) => {
    // As careless as a server can be: it says what it was shown.
    response.writeHead(401).end(JSON.stringify({ error: request.headers.authorization, asked: await text(request) }))
  }).listen(0, '127.0.0.1')
  await once(echo, 'listening')
  const tokenUrl = `http://127.0.0.1:${(echo.address() as AddressInfo).port}/token`
  try {
    const planted: Planted[] = []
    const waiting = [...secretSettings]
    const plantNext = async (): Promise<void> => {
      for (let setting = waiting.shift(); setting !== undefined; setting = waiting.shift()) {
        const plan = plans[setting]
        if (plan === undefined) throw new Error(`nobody has said where ${setting} is planted; do so in plans`)
        planted.push(await plant(setting, plan, secure, tokenUrl))
      }
    }
    const [wrong] = await Promise.all([wronglyConfigured(secure), ...Array.from({ length: AT_ONCE }, plantNext)])
    return [...planted, ...wrong]
  } finally {
    echo.close()
  }
}

const newCanary = (): string => `canary${randomBytes(20).toString('hex')}`
const AT_ONCE = 3

async function plant(setting: string, plan: Plan, secure: SecureStack, tokenUrl: string): Promise<Planted> {
  const canary = newCanary()
  const [port, adminPort] = [await freePort(), await freePort()]
  const env: Record<string, string> = {
    ...credentialsOf(secure.made, secure.ports, plan.user),
    ...Object.fromEntries((plan.without ?? []).map((name) => [name, ''])),
    FRESHET_LOG_LEVEL: 'trace',
    FRESHET_ENGINE: 'hash',
    FRESHET_PARTITIONS: '2',
    FRESHET_PRINCIPALS: 'configured',
    FRESHET_WORKER_PORT: String(adminPort),
    FRESHET_QUERY_PORT: String(port),
    FRESHET_QUERY_ADMIN_PORT: String(adminPort),
    FRESHET_GATEWAY_PORT: String(setting === 'apiKey' ? secure.ports.gateway : port),
    FRESHET_GATEWAY_ADMIN_PORT: String(adminPort),
    FRESHET_URL: `https://127.0.0.1:${secure.ports.gateway}`,
    FRESHET_URL_CA: secure.made.ca,
    FRESHET_DATA: secure.dataDir,
    ...plan.env,
    ...(setting === 'kafkaOauthClientSecret' && { FRESHET_KAFKA_OAUTH_TOKEN_URL: tokenUrl }),
    ...(setting === 'embeddingApiKey' && { FRESHET_EMBEDDING_URL: tokenUrl }),
    [variableOf(setting)]: canary,
  }
  const role = typeof plan.run === 'string'
  const { child, said } = run(role ? ['services/main.ts', plan.run as string] : ['cli/main.ts', ...plan.run], env)
  let answers = ''
  try {
    await until(
      `${setting} is refused`,
      async () => {
        if (role) answers = await adminAnswers(adminPort)
        return plan.shows.test(said() + answers) || (said() + answers).slice(-2_000)
      },
      REFUSED_MS_MAX,
    )
    if (plan.asks) answers += await plan.asks(`http://127.0.0.1:${port}`, canary)
    if (role) answers += await crash(child, adminPort)
    return { setting, canary, said: said() + answers }
  } finally {
    await end(child)
  }
}

/** Everything is set, in a way that cannot be: what is wrong is told of each role. */
async function wronglyConfigured(secure: SecureStack): Promise<Planted[]> {
  const canaries = new Map(secretSettings.map((setting) => [setting, newCanary()]))
  const env = Object.fromEntries([...canaries].map(([setting, canary]) => [variableOf(setting), canary]))
  const wrong = { ...env, FRESHET_PARTITIONS: 'many', FRESHET_REGISTRY: `https://me:${newCanary()}@127.0.0.1` }
  const planted: Planted[] = []
  for (const args of [
    ['services/main.ts', 'worker'],
    ['services/main.ts', 'query'],
    ['services/main.ts', 'gateway'],
    ['services/main.ts', 'admin'],
    ['services/main.ts', 'all'],
    ['cli/main.ts', 'status'],
  ]) {
    const { child, said } = run(args, { ...wrong, FRESHET_DATA: secure.dataDir })
    await once(child, 'close')
    if (!/the configuration is wrong/.test(said())) throw new Error(`${args.join(' ')} took it for right: ${said()}`)
    for (const [setting, canary] of canaries) planted.push({ setting, canary, said: said() })
  }
  return planted
}

function run(args: readonly string[], env: Readonly<Record<string, string>>) {
  const file = ['--import', new URL('./crash-on-signal.ts', import.meta.url).href, ...args]
  const child = spawn(process.execPath, file, { cwd: repositoryDir, env: { ...process.env, ...env } })
  const chunks: Buffer[] = []
  child.stdout.on('data', (chunk) => chunks.push(chunk))
  child.stderr.on('data', (chunk) => chunks.push(chunk))
  return { child, said: () => Buffer.concat(chunks).toString('utf8') }
}

async function adminAnswers(port: number): Promise<string> {
  const pages = ['/health/ready', '/health/live', '/metrics', '/nothing']
  const said = pages.map((page) =>
    fetch(`http://127.0.0.1:${port}${page}`).then(
      (response) => response.text(),
      () => '',
    ),
  )
  return (await Promise.all(said)).join('\n')
}

/** An error that nobody catches, as a bug would be. */
async function crash(child: ChildProcess, adminPort: number): Promise<string> {
  const last = await adminAnswers(adminPort)
  child.kill('SIGUSR2')
  await until('it has crashed', () => child.exitCode !== null || child.signalCode !== null)
  return last
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** Bad keys, bad tokens and bad bodies, of the secret itself too. */
async function askWrongly(url: string, canary: string): Promise<string> {
  const attempts: RequestInit[] = [
    {},
    { headers: { 'x-api-key': canary } },
    { headers: { authorization: `Bearer ${canary}` } },
    { headers: { authorization: `Basic ${canary}` } },
    { headers: { 'x-freshet-principal': canary }, method: 'POST', body: '{' },
  ]
  const paths = ['/v1/search', '/v1/documents', '/nothing']
  const answers = attempts.flatMap((init) =>
    paths.map(async (path) => {
      const response = await fetch(`${url}${path}`, init)
      return JSON.stringify([response.status, [...response.headers], await response.text()])
    }),
  )
  return (await Promise.all(answers)).join('\n')
}

const REFUSED_MS_MAX = 60_000
