import { randomBytes } from 'node:crypto'
import { type Client, connect } from '../client/client.ts'
import { connectQdrant } from '../connectors/qdrant/client.ts'
import type { Engine } from '../engine/embedder.ts'
import { createEngine } from '../engine/engine.ts'
import type { Role, Stack } from '../infra/local/stack.ts'
import type { Document, Receipt } from '../schemas/records.ts'
import { catalogue, documents, indexed } from '../schemas/topics.ts'
import { PRINCIPAL_HEADER, signPrincipal, wholeTenant } from '../services/principal.ts'
import type { Broker, NewRecord, Position } from '../streams/broker.ts'
import { kafkaBroker } from '../streams/brokers/kafka.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { confluentRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'
import { type Held, heldBy } from './inspector.ts'
import { type Usage, usageOf } from './usage.ts'

/** A worker and a query service on topics of their own, as they are started in earnest, and what is needed to drive and watch them. */
export interface Platform extends AsyncDisposable {
  readonly scope: Scope
  readonly partitions: number
  readonly broker: Broker
  readonly client: Client
  readonly receipts: Receipts
  topic(topic: Topic): string
  encode<V>(topic: Topic<V>, value: V): Buffer
  /** A record of `documents`, encoded. */
  record(id: string, document: Document | null): NewRecord
  produce(records: readonly NewRecord[]): Promise<readonly Position[]>
  /** What the roles have used since they started. */
  usage(): { readonly worker: Usage; readonly query: Usage }
  /** The sum of a metric of the worker's over its labels that match. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** The same of the query service's. */
  queryMetric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>
  /** What the query service holds, garbage collected. */
  queryHolds(): Promise<Held>
  /** A query service more, for signed principals: where it is, and what the gateway would sign for a key of the tenant. */
  door(): Promise<{ readonly url: string; sign(tenant: string): Record<string, string> }>
  stopWorker(): Promise<void>
  startWorker(): Promise<void>
  readonly pids: { readonly worker: number; readonly query: number }
}

export interface Receipts {
  /** All that have been seen. */
  readonly count: number
  /** Resolves with the receipt of this offset in `documents` as soon as it is seen, by `performance.now()`. */
  of(partition: number, offset: number): Promise<{ readonly receipt: Receipt; readonly seenMs: number }>
  /** Resolves when this many were seen, with when the last one was. */
  reached(count: number): Promise<number>
}

export interface PlatformOptions {
  readonly stack: Stack
  readonly threads: number
  readonly profileDir: string | null
  /** Of the roles, beside the bench's own. */
  readonly settings: Readonly<Record<string, string>>
  roles(env: Readonly<Record<string, string>>): Role[]
}

export const tenant = 'default'
const partitions = 4

export async function openPlatform(
  name: string,
  { stack, threads, profileDir, settings, roles }: PlatformOptions,
): Promise<Platform> {
  const run = `${name}-${++platforms}`
  const prefix = `bench-${process.pid}-${run}.`
  const env = {
    FRESHET_TOPIC_PREFIX: prefix,
    FRESHET_EMBED_WORKERS: String(threads),
    FRESHET_PARTITIONS: String(partitions),
    FRESHET_LOG_LEVEL: 'warn',
    ...settings,
  }
  const profiled = profileDir === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${profileDir}`]
  const ours = ({ name, args, ...role }: Role): Role => ({
    ...role,
    name: `${name}-${run}`,
    args: [...profiled, ...args],
  })
  const [worker, plainQuery] = roles(env).map(ours) as readonly Role[] as [Role, Role]
  const inspectPort = stack.ports.query + INSPECT_PORT_ABOVE
  const query = { ...plainQuery, args: [`--inspect=127.0.0.1:${inspectPort}`, ...plainQuery.args] }
  await Promise.all([stack.startRole(worker), stack.startRole(query)])

  const broker = kafkaBroker({ brokers: [stack.urls.kafka], clientId: 'freshet-bench', log: () => {} })
  const space = await spaceOf(broker, prefix)
  const scope: Scope = { prefix, space }
  const topic = (each: Topic) => nameIn(scope, each)
  const serde = avroSerde(confluentRegistry(`${stack.urls.registry}/apis/ccompat/v7`), scope)
  await serde.register(catalogue)
  const { receipts, close } = await followReceipts(
    broker,
    topic(indexed),
    async (bytes) => (await serde.decode(indexed, bytes)) as Receipt,
  )
  const producer = await broker.producer()
  const client = await connect(`ws://127.0.0.1:${stack.ports.query}/v1/ws`)
  let door: Role | null = null
  const pidOf = (role: Role): number => {
    const { pid } = stack.part(role.name)
    if (pid === null) throw new Error(`${role.name} does not run`)
    return pid
  }

  return {
    scope,
    partitions,
    broker,
    client,
    receipts,
    topic,
    encode: (to, value) => serde.encode(to, value),
    async door() {
      const secret = randomBytes(32).toString('hex')
      const [port, adminPort] = [stack.ports.query + DOOR_PORTS_ABOVE, stack.ports.query + DOOR_PORTS_ABOVE + 1]
      const [, role] = roles({
        ...env,
        FRESHET_PRINCIPALS: 'signed',
        FRESHET_INTERNAL_SECRET: secret,
        FRESHET_QUERY_PORT: String(port),
        FRESHET_QUERY_ADMIN_PORT: String(adminPort),
      }).map(ours) as readonly Role[] as [Role, Role]
      door = { ...role, name: `${role.name}-door`, readyUrl: `http://127.0.0.1:${adminPort}/health/ready` }
      await stack.startRole(door)
      return {
        url: `http://127.0.0.1:${port}`,
        sign: (of) => ({ [PRINCIPAL_HEADER]: signPrincipal(wholeTenant(of, 'key:bench'), secret, Date.now()) }),
      }
    },
    record(id, document) {
      const key = `${tenant}/${id}`
      const value = document === null ? null : serde.encode(documents, document)
      return { topic: topic(documents), partition: partitionOf(key, partitions), key, value }
    },
    produce: (records) => producer.send(records),
    get pids() {
      return { worker: pidOf(worker), query: pidOf(query) }
    },
    usage: () => ({ worker: usageOf(pidOf(worker)), query: usageOf(pidOf(query)) }),
    metric: (metricName, labels = {}) => metricAt(stack.ports.workerMetrics, metricName, labels),
    queryMetric: (metricName, labels = {}) => metricAt(stack.ports.queryMetrics, metricName, labels),
    queryHolds: () => heldBy(inspectPort),
    stopWorker: () => stack.part(worker.name).kill('SIGTERM'),
    startWorker: () => stack.part(worker.name).restart(),
    async [Symbol.asyncDispose]() {
      await client.close()
      await close()
      await producer.close()
      await Promise.all(
        [worker, query, ...(door === null ? [] : [door])].map(({ name }) => stack.part(name).kill('SIGTERM')),
      )
      const made = (await broker.admin.topics()).map(({ name }) => name).filter((name) => name.startsWith(prefix))
      await broker.admin.deleteTopics(made)
      await broker.close()
      const qdrant = connectQdrant({ url: stack.urls.qdrant })
      await qdrant.collections.delete({ collectionName: `${prefix}${space}` })
    },
  }
}

let platforms = 0
/** From the query service's port to one that nobody of the stack has. */
const DOOR_PORTS_ABOVE = 6
const INSPECT_PORT_ABOVE = 8

/** The engine in this process, for what is measured alone. Idle, it costs nothing. */
export function ownEngine(stack: Stack, workers: number): Promise<Engine> {
  return createEngine({ modelsDir: stack.modelsDir, workers, log: { info() {}, warn() {} } })
}

/** From the name of the topic that the worker made. */
async function spaceOf(broker: Broker, prefix: string): Promise<string> {
  const start = `${prefix}vectors.`
  const found = (await broker.admin.topics()).find(({ name }) => name.startsWith(start))
  if (found === undefined) throw new Error(`the worker made no topic ${start}*`)
  return found.name.slice(start.length)
}

async function followReceipts(
  broker: Broker,
  topic: string,
  decode: (bytes: Buffer) => Promise<Receipt>,
): Promise<{ receipts: Receipts; close(): Promise<void> }> {
  const seen = new Map<string, { receipt: Receipt; seenMs: number }>()
  const waiting = new Map<string, (each: { receipt: Receipt; seenMs: number }) => void>()
  let counting: { count: number; resolve(atMs: number): void } | null = null
  let count = 0
  let lastMs = 0
  const tail = await broker.tail({
    topics: [topic],
    from: 'start',
    failed: (error) => {
      throw error
    },
    async fetched({ records }) {
      lastMs = performance.now()
      count += records.length
      if (counting !== null && count >= counting.count) counting.resolve(lastMs)
      for (const { value } of records) {
        const receipt = await decode(value!)
        const at = `${receipt.partition}/${receipt.offset}`
        const each = { receipt, seenMs: lastMs }
        seen.set(at, each)
        waiting.get(at)?.(each)
        waiting.delete(at)
      }
    },
  })
  const receipts: Receipts = {
    get count() {
      return count
    },
    of: (partition, offset) => {
      const at = `${partition}/${offset}`
      const known = seen.get(at)
      return known ? Promise.resolve(known) : new Promise((resolve) => waiting.set(at, resolve))
    },
    reached: (wanted) =>
      count >= wanted
        ? Promise.resolve(lastMs)
        : new Promise((resolve) => {
            counting = { count: wanted, resolve }
          }),
  }
  return { receipts, close: () => tail.close() }
}

async function metricAt(port: number, name: string, labels: Readonly<Record<string, string>>): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`)
  return sumOf(await response.text(), name, labels)
}

function sumOf(text: string, name: string, labels: Readonly<Record<string, string>>): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name}{`) || line.startsWith(`${name} `))
    .filter((line) => wanted.every((each) => line.includes(each)))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' ') + 1)), 0)
}
