import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { documents } from '../../schemas/topics.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'
import { loadConfig, queryConfig } from '../config.ts'
import type { ControlFollower } from '../control-follower.ts'
import { noOwnLimits, type Principal } from '../principal.ts'
import { overQuota } from '../quotas.ts'
import { type Callers, followCallers } from './callers.ts'
import { answerHttp, type HttpPorts } from './http.ts'
import { perform } from './operations.ts'
import { OperationError } from './protocol.ts'

const text = (id: string, length = 4) => ({ id, text: 'x'.repeat(length) })
const published = (...documents: readonly object[]) =>
  ({ type: 'publish', id: 'p', documents, ack: 'accepted', timeoutMs: 0 }) as never

test('documents, bytes and embedded tokens are each refused over their quota, with when to come back, and nothing is written', async () => {
  const refusals: Record<string, number> = {}
  const messages = {
    documents: published(text('a'), text('b'), text('c'), text('d')),
    bytes: published(text('a'.repeat(400))),
    tokens: published(text('a', 396)),
  }

  for (const [measure, message] of Object.entries(messages)) {
    await using fresh = await opened({
      acme: { documentsPerSecond: 2, bytesPerSecond: 50, embeddedTokensPerMinute: 600 },
    })
    await fresh.publish('acme', message)
    const error = await fresh.publish('acme', message).catch((error) => error)
    assert.ok(error instanceof OperationError && error.code === 'rate_limited', measure)
    refusals[error.message.replace(/;.*/, '')] = error.retryAfterMs!
    assert.equal(fresh.sent(), 1, measure)
  }

  assert.deepEqual(Object.keys(refusals), [
    'tenant acme is over its quota of 2 documents a second',
    'tenant acme is over its quota of 50 bytes a second',
    'tenant acme is over its quota of 600 embedded tokens a minute',
  ])
  assert.ok(Object.values(refusals).every((ms) => ms > 1_000 && ms <= 10_000))
})

test('over HTTP that is a 429 with Retry-After and the quota that it is', async () => {
  await using world = await opened({ acme: { documentsPerSecond: 1 } })
  const message = JSON.stringify({ documents: [text('a'), text('b')] })
  await fetch(world.url, { method: 'POST', body: message })

  const answer = await fetch(world.url, { method: 'POST', body: message })

  assert.equal(answer.status, 429)
  assert.equal(answer.headers.get('retry-after'), '2')
  assert.equal(answer.headers.get('ratelimit-policy'), '"documents";q=2;w=2')
  assert.match(answer.headers.get('ratelimit')!, /^"documents";r=0;t=2$/)
  const { code, detail, retryable } = (await answer.json()) as Record<string, unknown>
  assert.deepEqual([code, retryable], ['rate_limited', true])
  assert.match(String(detail), /^tenant acme is over its quota of 1 documents a second; come back in [12]\.\d s$/)
})

test('searches are bounded for the key and for its tenant, and do not spend what documents need', async () => {
  await using world = await opened({ acme: { embeddedTokensPerMinute: 600 } })
  const { quotas } = world.callers
  const small = {
    ...principalOf('acme'),
    subject: 'key:small',
    limits: { ...noOwnLimits, embeddedTokensPerMinute: 60 },
  }

  const ofKey = [quotas.searching(small, 10), quotas.searching(small, 10)]
  const ofTenant = [quotas.searching(principalOf('acme'), 90), quotas.searching(principalOf('acme'), 10)]
  const documents = quotas.publishing(principalOf('acme'), { documents: 1, bytes: 1, embeddedTokens: 100 })

  assert.deepEqual(
    [...ofKey, ...ofTenant, documents].map((over) => over && overQuota(over)),
    [
      null,
      'key:small of acme is over its quota of 60 embedded tokens a minute',
      null,
      'tenant acme (searches) is over its quota of 600 embedded tokens a minute',
      null,
    ],
  )
})

test('of several instances each admits its part of a quota', async () => {
  await using world = await opened({ acme: { documentsPerSecond: 10 } }, { FRESHET_LIMIT_INSTANCES: '4' })

  const over = Array.from({ length: 20 }, () =>
    world.callers.quotas.publishing(principalOf('acme'), { documents: 1, bytes: 1, embeddedTokens: 1 }),
  )

  assert.equal(over.filter((each) => each === null).length, 5)
})

const principalOf = (tenant: string): Principal => ({
  tenant,
  subject: `key:of-${tenant}`,
  scopes: ['publish'],
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
})

/** The real callers and operations, with a `control` that says this, and a producer that only counts. */
async function opened(quotas: Record<string, object>, env: Record<string, string> = {}) {
  const scope = { prefix: '', space: '' }
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([documents])
  const settings = loadConfig(queryConfig, {
    env: { FRESHET_PRINCIPALS: 'signed', FRESHET_INTERNAL_SECRET: 's'.repeat(32), ...env },
  })
  const none = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: null }
  const tenants = new Map(Object.entries(quotas).map(([name, own]) => [`tenants/${name}`, { ...none, ...own }]))
  const control = {
    get: (subject: string) => ({ tenant: tenants.get(subject) ?? null }),
    changed() {},
    unheardMs: () => 0,
  } as unknown as ControlFollower
  const callers: Callers = followCallers(settings, control, () => {})
  let sends = 0
  const ports = {
    callers: { ...callers, of: () => principalOf('acme') },
    quotas: callers.quotas,
    platform: { serde, scope, epochs: { refusal: null } },
    partitions: 1,
    freshness: { wrote: () => ({ epoch: 1, documents: {} }) },
    producer: {
      async send() {
        sends++
        return []
      },
    },
    ended() {},
  } as unknown as HttpPorts
  const server = createServer(answerHttp(ports)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    callers,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1/documents`,
    sent: () => sends,
    publish: (tenant: string, message: never) =>
      perform(message, principalOf(tenant), ports, { signal: new AbortController().signal }),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
