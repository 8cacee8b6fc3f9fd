import assert from 'node:assert/strict'
import { test } from 'node:test'
import { headersOf, openPublishing, principalOf } from '../../test/query-service.ts'
import { noOwnLimits } from '../principal.ts'
import { overQuota } from '../quotas.ts'
import { perform } from './operations.ts'
import { OperationError } from './protocol.ts'

const text = (id: string, length = 4) => ({ id, text: 'x'.repeat(length) })
const published = (...documents: readonly { id: string; text: string }[]) =>
  ({ type: 'publish', id: 'p', documents, ack: 'accepted', timeoutMs: 0 }) as const
const publishTo = ({ ports }: Awaited<ReturnType<typeof openPublishing>>, message: ReturnType<typeof published>) =>
  perform({ ...message, documents: [...message.documents] }, principalOf('acme'), ports, {
    signal: new AbortController().signal,
  })

test('documents, bytes and embedded tokens are each refused over their quota, with when to come back, and nothing is written', async () => {
  const refusals: Record<string, number> = {}
  const messages = {
    documents: published(text('a'), text('b'), text('c'), text('d')),
    bytes: published(text('a'.repeat(400))),
    tokens: published(text('a', 396)),
  }

  for (const [measure, message] of Object.entries(messages)) {
    await using fresh = await openPublishing({
      acme: { documentsPerSecond: 2, bytesPerSecond: 50, embeddedTokensPerMinute: 600 },
    })
    await publishTo(fresh, message)
    const error = await publishTo(fresh, message).catch((error) => error)
    assert.ok(error instanceof OperationError && error.code === 'rate_limited', measure)
    refusals[error.message.replace(/;.*/, '')] = error.retryAfterMs!
    assert.equal(fresh.published().length, message.documents.length, measure)
  }

  assert.deepEqual(Object.keys(refusals), [
    'tenant acme is over its quota of 2 documents a second',
    'tenant acme is over its quota of 50 bytes a second',
    'tenant acme is over its quota of 600 embedded tokens a minute',
  ])
  assert.ok(Object.values(refusals).every((ms) => ms > 1_000 && ms <= 10_000))
})

test('over HTTP that is a 429 with Retry-After and the quota that it is', async () => {
  await using world = await openPublishing({ acme: { documentsPerSecond: 1 } })
  const message = JSON.stringify({ documents: [text('a'), text('b')] })
  const ask = () => fetch(`${world.url}/v1/documents`, { method: 'POST', headers: headersOf('acme'), body: message })
  await ask()

  const answer = await ask()

  assert.equal(answer.status, 429)
  assert.equal(answer.headers.get('retry-after'), '2')
  assert.equal(answer.headers.get('ratelimit-policy'), '"documents";q=2;w=2')
  assert.match(answer.headers.get('ratelimit')!, /^"documents";r=0;t=2$/)
  const { code, detail, retryable } = (await answer.json()) as Record<string, unknown>
  assert.deepEqual([code, retryable], ['rate_limited', true])
  assert.match(String(detail), /^tenant acme is over its quota of 1 documents a second; come back in [12]\.\d s$/)
})

test('searches are bounded for the key and for its tenant, and do not spend what documents need', async () => {
  await using world = await openPublishing({ acme: { embeddedTokensPerMinute: 600 } })
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
  await using world = await openPublishing({ acme: { documentsPerSecond: 10 } }, { FRESHET_LIMIT_INSTANCES: '4' })

  const over = Array.from({ length: 20 }, () =>
    world.callers.quotas.publishing(principalOf('acme'), { documents: 1, bytes: 1, embeddedTokens: 1 }),
  )

  assert.equal(over.filter((each) => each === null).length, 5)
})
