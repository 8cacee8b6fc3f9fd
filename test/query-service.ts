import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Control } from '../schemas/records.ts'
import { control, documents } from '../schemas/topics.ts'
import { loadConfig, queryConfig } from '../services/config.ts'
import { followControl } from '../services/control-follower.ts'
import { noOwnLimits, PRINCIPAL_HEADER, type Principal, signPrincipal } from '../services/principal.ts'
import { followCallers } from '../services/query/callers.ts'
import { answerHttp, type HttpPorts } from '../services/query/http.ts'
import { memoryBroker } from '../streams/brokers/memory.ts'
import { systemClock } from '../streams/clock.ts'
import { localRegistry } from '../streams/registry.ts'
import { avroSerde } from '../streams/serde.ts'
import { States } from '../streams/states.ts'
import { openTable } from '../streams/table.ts'
import type { Topic } from '../streams/topic.ts'
import { declaredAttributes } from './declared.ts'

/** What the gateway of these tests signs principals with. */
export const SECRET = 'the internal secret of these tests'

/** The real `control`, on a broker in memory, and whoever it says that asks. */
export async function openControl() {
  const scope = { prefix: '', space: '' }
  const broker = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([control, documents])
  const create = async ({ name, config }: Topic) =>
    broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config }])
  await create(control)
  await create(documents)
  const failed = (error: Error) => {
    throw error
  }
  const follower = await followControl((options) => openTable(control, { broker, serde, scope, ...options }), {
    subject: 'query',
    states: new States(Date.now),
    unheardMsMax: 60_000,
    failed,
  })
  const producer = await broker.producer()
  return {
    scope,
    broker,
    serde,
    producer,
    follower,
    /** Resolves when it is written; that it is known is heard. */
    async decide(tenant: string, own: Partial<NonNullable<Control['tenant']>>) {
      const value = serde.encode(control, { tenant: { ...NONE, ...own } } satisfies Partial<Control>)
      await producer.send([{ topic: control.name, partition: 0, key: `tenants/${tenant}`, value }])
    },
    async [Symbol.asyncDispose]() {
      await follower.close()
      await broker.close()
    },
  }
}

const NONE = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: null }

export const signedConfig = (env: Readonly<Record<string, string>> = {}) =>
  loadConfig(queryConfig, { env: { FRESHET_PRINCIPALS: 'signed', FRESHET_INTERNAL_SECRET: SECRET, ...env } })

/** The query service over HTTP as far as publishing goes, with these quotas in `control`. */
export async function openPublishing(
  quotas: Readonly<Record<string, Partial<NonNullable<Control['tenant']>>>> = {},
  env: Readonly<Record<string, string>> = {},
  changed: Partial<HttpPorts> = {},
) {
  const behind = await openControl()
  for (const [tenant, own] of Object.entries(quotas)) await behind.decide(tenant, own)
  await behind.follower.sync()
  const { scope, broker, serde, producer } = behind
  const callers = followCallers(signedConfig(env), behind.follower, () => {})
  const ended: string[] = []
  const ports = {
    callers,
    quotas: callers.quotas,
    attributes: declaredAttributes,
    platform: { serde, scope, epoch: 1, epochs: { refusal: null } },
    partitions: 1,
    producer,
    clock: systemClock,
    freshness: {
      wrote: (positions: readonly { offset: number }[]) => ({
        epoch: 1,
        documents: { 0: positions.map(({ offset }) => offset) },
      }),
      after: async () => [],
    },
    missing: () => null,
    ended: (type: string, code: string) => ended.push(`${type} ${code}`),
    log: { error() {} },
    ...changed,
  } as unknown as HttpPorts
  const server = createServer(answerHttp(ports)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    callers,
    ports,
    port,
    url: `http://127.0.0.1:${port}`,
    /** What metrics hear of: type and code of each operation. */
    ended,
    /** Keys of `documents`, in their order; of a deletion with a minus before it. */
    published: () =>
      broker.records(documents.name).map(({ key, value }) => `${value === null ? '-' : ''}${key!.toString('utf8')}`),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await behind[Symbol.asyncDispose]()
    },
  }
}

export const principalOf = (tenant: string, scopes: Principal['scopes'] = ['publish']): Principal => ({
  tenant,
  subject: `key:of-${tenant}`,
  scopes,
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
})

/** As the gateway sends them along. */
export const headersOf = (tenant: string, scopes?: Principal['scopes']): Record<string, string> => ({
  [PRINCIPAL_HEADER]: signPrincipal(principalOf(tenant, scopes), SECRET, Date.now()),
})
