import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Gauge, Registry } from 'prom-client'
import type { Control } from '../schemas/records.ts'
import type { Administration } from '../services/administration.ts'
import { quotaMetrics } from '../services/quota-metrics.ts'
import { clearQuota, setQuota } from './quota.ts'
import { quotaRows } from './quota-rows.ts'
import { usesIn } from './quota-use.ts'

test('what is not named stays as it is, and what was done is written down', async () => {
  const { control, actions, administration } = deciding()

  await setQuota({ tenant: 'acme', documentsPerSecond: 5, bytesPerSecond: 100 }, administration)
  const row = await setQuota({ tenant: 'acme', documentsPerSecond: 7 }, administration)

  assert.deepEqual(row.own, { documentsPerSecond: 7, bytesPerSecond: 100, embeddedTokensPerMinute: null })
  assert.deepEqual(control.get('tenants/acme')?.tenant, { ...row.own, erasedAt: null })
  assert.deepEqual(actions, [
    'tenants/acme quota set documentsPerSecond=5 bytesPerSecond=100',
    'tenants/acme quota set documentsPerSecond=7',
  ])
})

test('a cleared quota is the configured one again, and an erased tenant stays erased', async () => {
  const { control, administration } = deciding()
  await setQuota({ source: 'inbox', bulk: true }, administration)
  control.set('tenants/gone', { tenant: { ...none, documentsPerSecond: 3, erasedAt: 9 } } as unknown as Control)

  const source = await clearQuota({ source: 'inbox' }, administration)
  await clearQuota({ tenant: 'gone' }, administration)

  assert.deepEqual([source.bulk, source.hasOwn, control.has('sources/inbox')], [false, false, false])
  assert.deepEqual(control.get('tenants/gone')?.tenant, { ...none, erasedAt: 9 })
})

test('wrong use says what is to be given instead', async () => {
  const { control, administration } = deciding()
  const refusals: [() => Promise<unknown>, RegExp][] = [
    [() => setQuota({ documentsPerSecond: 1 }, administration), /name one of --tenant TENANT and --source TOPIC/],
    [() => setQuota({ tenant: 'a', source: 'b', bulk: true }, administration), /name one of/],
    [() => setQuota({ tenant: 'A/b', documentsPerSecond: 1 }, administration), /--tenant: "A\/b" must be 1 to 63/],
    [() => setQuota({ source: 'a b', documentsPerSecond: 1 }, administration), /--source: is "a b"; it must be/],
    [
      () => setQuota({ source: 'crawl', bulk: true }, administration),
      /there is no crawl; there are inbox \(FRESHET_SOURCES/,
    ],
    [() => setQuota({ tenant: 'acme', bulk: true }, administration), /a source of its own/],
    [() => setQuota({ tenant: 'acme' }, administration), /name --documents-per-second/],
    [() => clearQuota({ tenant: 'acme' }, administration), /tenant acme has no quota of its own; freshet quota show/],
  ]

  for (const [attempt, message] of refusals) await assert.rejects(attempt, message)

  assert.equal(control.size, 0)
})

test('the list begins with what everyone has, and leaves out whoever has nothing of their own', async () => {
  const { control, administration } = deciding()
  await setQuota({ source: 'inbox', bulk: true }, administration)
  await setQuota({ tenant: 'acme', documentsPerSecond: 5 }, administration)
  control.set('tenants/gone', { tenant: { ...none, erasedAt: 9 } } as unknown as Control)
  control.set('keys/a', { apiKey: { tenant: 'other' } } as unknown as Control)

  const rows = quotaRows(control, { tenantDocumentsPerSecond: 1_000 } as never, null)

  assert.deepEqual(
    rows.map(({ kind, name, quota, bulk }) => [kind, name, quota.documentsPerSecond, bulk]),
    [
      ['tenant', null, 1_000, false],
      ['source', null, undefined, false],
      ['source', 'inbox', undefined, true],
      ['tenant', 'acme', 5, false],
    ],
  )
})

test('what is left is read from the metrics, and other metrics are not', async () => {
  const register = new Registry()
  register.setDefaultLabels({ role: 'worker' })
  new Gauge({ name: 'freshet_other', help: 'Another.', labelNames: ['of'], registers: [register] }).set({ of: 'x' }, 1)
  quotaMetrics(register, () => [
    { name: 'tenant acme', measure: 'documents', share: 0.25 },
    { name: 'source inbox', measure: 'bytes', share: -0.5 },
  ])

  const uses = usesIn(await register.metrics())

  assert.deepEqual(uses, [
    { of: 'tenant acme', measure: 'documents', share: 0.25 },
    { of: 'source inbox', measure: 'bytes', share: -0.5 },
  ])
})

const none = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null }

function deciding() {
  const control = new Map<string, Control>()
  const actions: string[] = []
  const administration: Administration = {
    by: 'ada@here',
    control,
    async decide(subject, record, { what, detail = '' }) {
      if (record === null) control.delete(subject)
      else control.set(subject, record as Control)
      actions.push(`${subject} ${what} ${detail}`.trim())
    },
  }
  return { control, actions, administration }
}
