import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control } from '../../schemas/records.ts'
import { control } from '../../schemas/topics.ts'
import { memoryBroker } from '../../streams/brokers/memory.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'
import { States } from '../../streams/states.ts'
import { openTable } from '../../streams/table.ts'
import type { QueryConfig } from '../config.ts'
import { followControl } from '../control-follower.ts'
import {
  noOwnLimits,
  PAGE_HEADER,
  PRINCIPAL_HEADER,
  type Principal,
  signPage,
  signPrincipal,
  wholeTenant,
} from '../principal.ts'
import { followCallers } from './callers.ts'

const SECRET = 'the internal secret of this test'

const world = async () => {
  const scope = { prefix: '', space: '' }
  const broker = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([control])
  const { name, config } = control
  await broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config }])
  const states = new States(Date.now)
  const failed = (error: Error) => {
    throw error
  }
  const follower = await followControl((options) => openTable(control, { broker, serde, scope, ...options }), {
    subject: 'query',
    states,
    unheardMsMax: 60_000,
    failed,
  })
  return {
    follower,
    async eraseAcme() {
      const tenant = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: 1 }
      const value = serde.encode(control, { tenant } satisfies Partial<Control>)
      const producer = await broker.producer()
      await producer.send([{ topic: name, partition: 0, key: 'tenants/acme', value }])
    },
    async [Symbol.asyncDispose]() {
      await follower.close()
      await broker.close()
    },
  }
}

const refused = { status: 403, reason: 'the tenant was erased: nothing is admitted of it' }

test('nobody of an erased tenant is let in, and its connections are closed; others are', async () => {
  await using control = await world()
  const erased = Promise.withResolvers<(principal: Principal) => boolean>()
  const settings = { principals: 'signed', internalSecret: [SECRET], origins: [] as string[] } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, erased.resolve)
  const before = callers.of(headersOf('acme'))

  await control.eraseAcme()
  const isNotGood = await erased.promise

  assert.deepEqual(before, principalOf('acme'))
  assert.deepEqual(callers.of(headersOf('acme')), refused)
  assert.deepEqual(callers.of(headersOf('acme-two')), principalOf('acme-two'))
  assert.deepEqual([isNotGood(principalOf('acme')), isNotGood(principalOf('acme-two'))], [true, false])
})

test('nor is the configured tenant, once it is erased', async () => {
  await using control = await world()
  const erased = Promise.withResolvers<unknown>()
  const settings = { principals: 'configured', host: '127.0.0.1', tenant: 'acme' } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, erased.resolve)
  const before = callers.of({})

  await control.eraseAcme()
  await erased.promise

  assert.deepEqual(before, wholeTenant('acme', 'configured'))
  assert.deepEqual(callers.of({}), refused)
})

test('where everybody is the configured tenant, what comes from a gateway is refused', async () => {
  await using control = await world()
  const settings = { principals: 'configured', host: '127.0.0.1', tenant: 'acme' } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, () => {})

  const origin = 'http://127.0.0.1:18043'
  const answers = [
    callers.of(headersOf('zenith')),
    callers.of({ origin, [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) }),
  ]

  assert.deepEqual(
    answers.map((answer) => answer !== null && 'status' in answer && answer.status),
    [403, 403],
  )
})

test('a page is nobody yet if the gateway has let it in, and is refused if it comes by itself', async () => {
  await using control = await world()
  const settings = { principals: 'signed', internalSecret: [SECRET] } as unknown as QueryConfig
  const callers = followCallers(settings, control.follower, () => {})
  const origin = 'https://app.example'

  const admitted = callers.of({ origin, [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) })
  const others = [
    callers.of({ origin }),
    callers.of({ origin, [PAGE_HEADER]: signPage(origin, 'a secret of somebody else, not of ours', Date.now()) }),
    callers.of({ origin: 'https://evil.example', [PAGE_HEADER]: signPage(origin, SECRET, Date.now()) }),
  ]

  assert.equal(admitted, null)
  assert.deepEqual(others, Array(3).fill({ status: 403, reason: 'pages of other origins may not call' }))
})

const principalOf = (tenant: string): Principal => ({
  tenant,
  subject: `key:of-${tenant}`,
  scopes: ['publish'],
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
})

const headersOf = (tenant: string) => ({ [PRINCIPAL_HEADER]: signPrincipal(principalOf(tenant), SECRET, Date.now()) })
