import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control } from '../../schemas/records.ts'
import { control } from '../../schemas/topics.ts'
import { memoryBroker } from '../../streams/brokers/memory.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'
import type { QueryConfig } from '../config.ts'
import type { Platform } from '../platform.ts'
import { noOwnLimits, PRINCIPAL_HEADER, type Principal, signPrincipal } from '../principal.ts'
import { followCallers } from './callers.ts'

const SECRET = 'the internal secret of this test'

test('nobody of an erased tenant is let in, and its connections are closed; others are', async () => {
  const scope = { prefix: '', space: '' }
  const broker = memoryBroker()
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([control])
  const { name, config } = control
  await broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config }])
  const erased = Promise.withResolvers<(principal: Principal) => boolean>()
  const settings = { principals: 'signed', internalSecret: [SECRET], origins: [] as string[] } as unknown as QueryConfig
  const callers = await followCallers(settings, { broker, serde, scope } as unknown as Platform, {
    revoked: erased.resolve,
    failed: erased.reject,
  })
  const before = callers.of(headersOf('acme'))
  const tenant = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: 1 }
  const value = serde.encode(control, { tenant } satisfies Partial<Control>)

  const producer = await broker.producer()
  await producer.send([{ topic: name, partition: 0, key: 'tenants/acme', value }])
  const isNotGood = await erased.promise

  assert.deepEqual(before, principalOf('acme'))
  assert.deepEqual(callers.of(headersOf('acme')), {
    status: 403,
    reason: 'the tenant was erased: nothing is admitted of it',
  })
  assert.deepEqual(callers.of(headersOf('acme-two')), principalOf('acme-two'))
  assert.deepEqual([isNotGood(principalOf('acme')), isNotGood(principalOf('acme-two'))], [true, false])
  await callers.close()
  await broker.close()
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
