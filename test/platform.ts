import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Client, connect } from '../client/client.ts'
import { connectQdrant, type Qdrant } from '../connectors/qdrant/client.ts'
import type { Engine } from '../engine/embedder.ts'
import { createEngine } from '../engine/engine.ts'
import { hashEngine } from '../engine/hash-engine.ts'
import { requireOk } from '../infra/local/parts/http.ts'
import { portsFrom } from '../infra/local/ports.ts'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'
import { firstCollection, servingIn } from '../processors/collections.ts'
import { catalogue, control } from '../schemas/topics.ts'
import { allocatorEnv } from '../services/allocator.ts'
import type { Broker } from '../streams/broker.ts'
import { kafkaBroker } from '../streams/brokers/kafka.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { confluentRegistry } from '../streams/registry.ts'
import { avroSerde, type Serde } from '../streams/serde.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'
import { declaredInTests } from './declared.ts'
import { freePort, startProcess, type TestProcess } from './process.ts'

/**
 * The real processes on the real Kafka, registry and Qdrant of the local stack. A prefix of its own keeps the topics, groups
 * and collection apart from those of other tests. Vectors come from the hash engine unless a test says otherwise.
 */
export interface Platform extends AsyncDisposable {
  readonly scope: Scope
  /** The first; `serving` says which one answers now. */
  readonly collection: string
  readonly partitions: number
  readonly tenant: string
  /** Of its processes. */
  readonly env: Readonly<Record<string, string>>
  readonly urls: { readonly kafka: string; readonly registry: string; readonly qdrant: string }
  readonly broker: Broker
  /** Knows the schemas once a role is ready. */
  readonly serde: Serde
  readonly qdrant: Qdrant
  /** The engine that the processes use, for what a test derives itself. */
  readonly engine: Engine
  topic(topic: Topic): string
  partitionOf(key: string): number
  /** The collection that answers, as `control` says. */
  serving(): Promise<string>
  worker(env?: Readonly<Record<string, string>>): Promise<Role>
  query(env?: Readonly<Record<string, string>>): Promise<QueryRole>
  /** For a gateway. */
  admin(env?: Readonly<Record<string, string>>): Promise<QueryRole>
  /** Before these instances of the query service, which must be given `signed`. */
  gateway(queries: readonly QueryRole[], env?: Readonly<Record<string, string>>): Promise<QueryRole>
  /** Every role in one process; `url` is the gateway's. */
  all(env?: Readonly<Record<string, string>>): Promise<QueryRole>
  /** A client of the query service that was started last. */
  client(): Promise<Client>
  /** The `freshet` command on this platform. */
  freshet(...args: readonly string[]): TestProcess
}

export interface Role extends TestProcess {
  readonly adminUrl: string
  /** The sum of a metric's values with these labels; 0 if there are none yet. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
}

export interface QueryRole extends Role {
  readonly url: string
}

export interface PlatformOptions {
  readonly partitions?: number
  /** Default: hash, without a model. */
  readonly engine?: 'hash' | 'model'
  /** Instead of the stack's: a Qdrant of the test's own, a registry behind a proxy. */
  readonly qdrantUrl?: string
  readonly registryUrl?: string
  /** Of another stack than the one at FRESHET_PORT_BASE, which is shared and must not be hurt. */
  readonly portBase?: number
  readonly env?: Readonly<Record<string, string>>
  /** Instead of the program: a file of the test's own that runs the worker. */
  readonly workerFile?: string
}

export async function openPlatform({
  partitions = 3,
  engine: kind = 'hash',
  qdrantUrl,
  registryUrl,
  portBase,
  env = {},
  workerFile,
}: PlatformOptions = {}): Promise<Platform> {
  const settings = localSettings(process.env)
  const ports = portsFrom(portBase ?? settings.portBase)
  const directRegistry = `http://127.0.0.1:${ports.registry}/apis/ccompat/v7`
  const urls = {
    kafka: `127.0.0.1:${ports.kafka}`,
    registry: registryUrl ?? directRegistry,
    qdrant: qdrantUrl ?? settings.qdrantUrl ?? `http://127.0.0.1:${ports.qdrant}`,
  }
  const engine = kind === 'hash' ? hashEngine() : await modelEngine(settings.toolsDir)
  const prefix = `t${randomBytes(4).toString('hex')}.`
  const scope: Scope = { prefix, space: engine.space.id }
  const broker = kafkaBroker({ brokers: [urls.kafka], clientId: 'freshet-test', log: () => {} })
  const serde = avroSerde(confluentRegistry(directRegistry), scope)
  const qdrant = connectQdrant({ url: urls.qdrant })
  const tenant = 'acme'
  const clients: Client[] = []
  const roles: TestProcess[] = []
  let queryUrl: string | null = null

  const shared = {
    ...allocatorEnv,
    FRESHET_KAFKA: urls.kafka,
    FRESHET_REGISTRY: urls.registry,
    FRESHET_QDRANT_URL: urls.qdrant,
    FRESHET_TOOLS: settings.toolsDir,
    FRESHET_TOPIC_PREFIX: prefix,
    FRESHET_PARTITIONS: String(partitions),
    FRESHET_TENANT: tenant,
    FRESHET_ATTRIBUTES: declaredInTests,
    FRESHET_ENGINE: kind,
    // The least that Kafka allows, since tests wait for dead members to be given up.
    FRESHET_SESSION_TIMEOUT_MS: '6000',
    ...env,
  }
  const argsOf = (role: string): string[] =>
    role === 'worker' && workerFile !== undefined ? [workerFile] : ['services/main.ts', role]
  const start = async (
    role: 'worker' | 'query' | 'gateway' | 'admin' | 'all',
    adminPort: number,
    more: Readonly<Record<string, string>>,
  ): Promise<Role> => {
    const process_ = startProcess(role, process.execPath, argsOf(role), {
      cwd: repositoryDir,
      env: { ...shared, ...more },
    })
    roles.push(process_)
    const adminUrl = `http://127.0.0.1:${adminPort}`
    await process_.ready(() => requireOk(`${adminUrl}/health/ready`, AbortSignal.timeout(2_000)))
    return { ...process_, adminUrl, metric: (name, labels = {}) => metric(adminUrl, name, labels) }
  }

  return {
    scope,
    collection: firstCollection(scope),
    partitions,
    tenant,
    env: shared,
    urls,
    broker,
    serde,
    qdrant,
    engine,
    topic: (topic) => nameIn(scope, topic),
    partitionOf: (key) => partitionOf(key, partitions),
    async serving() {
      const table = await openTable(control, { broker, serde, scope, failed() {} })
      await table.sync()
      await table.close()
      return servingIn(new Map(table.entries()), scope).collection
    },
    async worker(more = {}) {
      const port = Number(more.FRESHET_WORKER_PORT ?? (await freePort()))
      const role = await start('worker', port, { ...more, FRESHET_WORKER_PORT: String(port) })
      await serde.register(catalogue)
      return role
    },
    async query(more = {}) {
      const [port, adminPort] = [await freePort(), await freePort()]
      const role = await start('query', adminPort, {
        FRESHET_QUERY_PORT: String(port),
        FRESHET_QUERY_ADMIN_PORT: String(adminPort),
        ...more,
      })
      await serde.register(catalogue)
      queryUrl = `ws://127.0.0.1:${port}`
      return { ...role, url: queryUrl }
    },
    async admin(more = {}) {
      const [port, metricsPort] = [await freePort(), await freePort()]
      const role = await start('admin', metricsPort, {
        FRESHET_ADMIN_PORT: String(port),
        FRESHET_ADMIN_METRICS_PORT: String(metricsPort),
        FRESHET_INTERNAL_SECRET: internalSecret,
        ...more,
      })
      return { ...role, url: `http://127.0.0.1:${port}` }
    },
    async all(more = {}) {
      const names = [
        'GATEWAY_PORT',
        'GATEWAY_ADMIN_PORT',
        'QUERY_PORT',
        'QUERY_ADMIN_PORT',
        'ADMIN_PORT',
        'ADMIN_METRICS_PORT',
        'WORKER_PORT',
      ]
      const ports: Record<string, string> = {}
      for (const name of names) ports[`FRESHET_${name}`] = String(await freePort())
      const role = await start('all', Number(ports.FRESHET_GATEWAY_ADMIN_PORT), { ...ports, ...more })
      for (const name of ['QUERY_ADMIN_PORT', 'ADMIN_METRICS_PORT', 'WORKER_PORT'])
        await role.ready(() =>
          requireOk(`http://127.0.0.1:${ports[`FRESHET_${name}`]}/health/ready`, AbortSignal.timeout(2_000)),
        )
      await serde.register(catalogue)
      queryUrl = `ws://127.0.0.1:${ports.FRESHET_GATEWAY_PORT}/v1/ws`
      return { ...role, url: queryUrl }
    },
    async gateway(queries, more = {}) {
      const [port, adminPort] = [await freePort(), await freePort()]
      const role = await start('gateway', adminPort, {
        FRESHET_GATEWAY_PORT: String(port),
        FRESHET_GATEWAY_ADMIN_PORT: String(adminPort),
        FRESHET_QUERY_UPSTREAMS: queries.map(({ url }) => url.replace(/^ws/, 'http')).join(),
        FRESHET_INTERNAL_SECRET: internalSecret,
        ...more,
      })
      queryUrl = `ws://127.0.0.1:${port}/v1/ws`
      return { ...role, url: queryUrl }
    },
    async client() {
      if (queryUrl === null) throw new Error('no query service was started')
      const client = await connect(queryUrl)
      clients.push(client)
      return client
    },
    freshet(...args) {
      const command = startProcess('freshet', process.execPath, ['cli/main.ts', ...args], {
        cwd: repositoryDir,
        env: { ...shared, ...(queryUrl !== null && { FRESHET_URL: queryUrl }) },
        // An answer is looked at whole.
        logCharsMax: 1_000_000,
      })
      roles.push(command)
      return command
    },
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(clients.map((client) => client.close()))
      await Promise.all(roles.map((role) => role[Symbol.asyncDispose]()))
      const topics = await broker.admin.topics()
      await broker.admin.deleteTopics(topics.map(({ name }) => name).filter((name) => name.startsWith(prefix)))
      await broker.close()
      await engine.close()
    },
  }
}

/** What the processes of a test know each other by, where they are signed. */
export const internalSecret = randomBytes(32).toString('hex')
export const signed = { FRESHET_PRINCIPALS: 'signed', FRESHET_INTERNAL_SECRET: internalSecret }

const modelEngine = (toolsDir: string): Promise<Engine> =>
  createEngine({
    modelsDir: join(toolsDir, 'models'),
    workers: 1,
    log: { info() {}, warn() {}, error() {} } as Parameters<typeof createEngine>[0]['log'],
  })

async function metric(adminUrl: string, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const response = await fetch(`${adminUrl}/metrics`, { signal: AbortSignal.timeout(METRICS_MS_MAX) })
  const text = await response.text()
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => Object.entries(labels).every(([label, value]) => line.includes(`${label}="${value}"`)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}

/** A machine that runs many processes at once may be slow; a process that is stuck is not for this to find. */
const METRICS_MS_MAX = 30_000
