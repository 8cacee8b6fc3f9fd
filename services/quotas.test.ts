import assert from 'node:assert/strict'
import { test } from 'node:test'
import { overQuota, type Payer, type Quota, QuotaBuckets, quotaOf } from './quotas.ts'

const configured: Quota = { documentsPerSecond: 10, bytesPerSecond: 1_000, embeddedTokensPerMinute: 6_000 }
const acme: Payer = { name: 'tenant acme', quota: configured, share: 1 }
const inbox: Payer = { name: 'source inbox', quota: { ...configured, documentsPerSecond: 2 }, share: 1 }
const cost = (documents: number, bytes = 0, embeddedTokens = 0) => ({ documents, bytes, embeddedTokens })

test('each measure has its own bound, and what one refuses costs the others nothing', () => {
  const quotas = new QuotaBuckets()
  quotas.take([acme], cost(1, 10_000), 0)

  const over = quotas.take([acme], cost(19, 500), 0)
  const documents = quotas.take([acme], cost(19), 0)

  assert.equal(overQuota(over!), 'tenant acme is over its quota of 1000 bytes a second')
  assert.equal(over!.taken.retryAfterMs, 500)
  assert.equal(documents, null)
})

test('of several payers all are asked, and the one that is waited for longest is named', () => {
  const quotas = new QuotaBuckets()
  quotas.take([acme, inbox], cost(4), 0)

  const over = quotas.take([acme, inbox], cost(1), 0)
  const acmeAlone = quotas.take([acme], cost(16), 0)

  assert.equal(overQuota(over!), 'source inbox is over its quota of 2 documents a second')
  assert.equal(over!.taken.retryAfterMs, 500)
  assert.equal(acmeAlone, null)
})

test('embedded tokens are counted by the minute, and a sixth of them may come at once', () => {
  const quotas = new QuotaBuckets()

  const burst = quotas.take([acme], cost(0, 0, 1_000), 0)
  const more = quotas.take([acme], cost(0, 0, 100), 0)

  assert.equal(burst, null)
  assert.equal(more?.taken.retryAfterMs, 1_000)
})

test('of several instances each admits its part', () => {
  const half = { ...acme, share: 0.5 }
  const quotas = new QuotaBuckets()

  const admitted = Array.from({ length: 100 }, (_, i) => quotas.take([half], cost(1), i * 100) === null)

  assert.equal(admitted.filter(Boolean).length, 10 + 49)
})

test('a quota of its own takes the place of the configured one, field by field and at once', () => {
  const own = { documentsPerSecond: null, bytesPerSecond: 7, embeddedTokensPerMinute: null }

  const quota = quotaOf(own, configured)

  assert.deepEqual(quota, { ...configured, bytesPerSecond: 7 })
  assert.deepEqual(quotaOf(null, configured), configured)
})

test('who has spent most is told first, and who has all is not told', () => {
  const quotas = new QuotaBuckets()
  quotas.take([acme], cost(15), 0)
  quotas.take([inbox], cost(4), 0)

  const left = quotas.left(1_000)

  assert.deepEqual(left, [
    { name: 'source inbox', measure: 'documents', share: 0.5 },
    { name: 'tenant acme', measure: 'documents', share: 0.75 },
  ])
  assert.deepEqual(quotas.left(10_000), [])
})
