import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ErasureReceipt } from '../../maintenance/erasure-receipt.ts'
import type { Subject } from '../../maintenance/erasure-world.ts'
import type { ApiKey, Control } from '../../schemas/records.ts'
import type { Decider } from '../administration.ts'
import { routes } from '../gateway/routes.ts'
import { noOwnLimits, PRINCIPAL_HEADER, type Principal, type Scope, scopes, signPrincipal } from '../principal.ts'
import { adminRoutes } from './routes.ts'
import { adminServer } from './server.ts'

const SECRET = 'of the tests, and of nothing else at all'
const OPERATORS = 'operators'

interface Decided extends Decider {
  readonly subject: string
  readonly what: string
  readonly apiKey: ApiKey | null | undefined
}

/** The server on a `control` in memory, and what was decided and asked to be erased. */
function world() {
  const control = new Map<string, Control>()
  const decided: Decided[] = []
  const erased: { subject: Subject; decider: Decider; dryRun: boolean | undefined }[] = []
  const failures: unknown[] = []
  const app = adminServer({
    control,
    secrets: [SECRET],
    operatorTenant: OPERATORS,
    now: Date.now,
    missing: () => null,
    administer: async (decider, work) =>
      work({
        by: decider.by,
        control,
        async decide(subject, record, { what }) {
          decided.push({ ...decider, subject, what, apiKey: record?.apiKey })
          control.set(subject, { ...nothing, ...record })
        },
      }),
    async erase(subject, decider, { dryRun }) {
      erased.push({ subject, decider, dryRun })
      return { complete: true } as ErasureReceipt
    },
    status: async () => ({ topics: [] }),
    ended() {},
    failed: (error) => failures.push(error),
  })
  const ask = async (method: string, url: string, by: Principal | null, body?: object) => {
    const signed = by === null ? {} : { [PRINCIPAL_HEADER]: signPrincipal(by, SECRET, Date.now()) }
    const answer = await app.inject({
      method: method as 'GET',
      url,
      headers: { 'x-request-id': 'r-1', ...signed },
      // As curl and fetch send it.
      ...(body && {
        payload: JSON.stringify(body),
        headers: { ...signed, 'x-request-id': 'r-1', 'content-type': 'text/plain' },
      }),
    })
    return { status: answer.statusCode, body: answer.body === '' ? {} : answer.json() }
  }
  return { ask, decided, erased, failures, control }
}

const nothing = {
  serving: null,
  topic: null,
  deadLetter: null,
  collection: null,
  apiKey: null,
  tenant: null,
  source: null,
} as unknown as Control

const admin: Principal = {
  tenant: 'acme',
  subject: 'key:ada',
  scopes: ['admin'],
  groups: ['hr', 'it'],
  expiresAt: null,
  limits: { ...noOwnLimits, requestsPerSecond: 7 },
}
const operator: Principal = { ...admin, tenant: OPERATORS, subject: 'key:olga', groups: ['*'], limits: noOwnLimits }

const wanted = { name: 'the website', scopes: ['search'] }
const samples: Readonly<Record<string, readonly [string, object | undefined]>> = {
  'GET /v1/admin/keys': ['/v1/admin/keys', undefined],
  'POST /v1/admin/keys': ['/v1/admin/keys', wanted],
  'DELETE /v1/admin/keys/:id': ['/v1/admin/keys/abcdefghijkl', undefined],
  'POST /v1/admin/erasures': ['/v1/admin/erasures', { documents: ['a'] }],
  'GET /v1/admin/status': ['/v1/admin/status', undefined],
}

const everySet: readonly (readonly Scope[])[] = Array.from({ length: 2 ** scopes.length }, (_, bits) =>
  scopes.filter((_scope, i) => (bits >> i) & 1),
)

test('the door and the service declare the same routes, for the same people', () => {
  const atTheDoor = routes.filter(({ to }) => to === 'admin')

  const here = adminRoutes.map(({ method, path, forOperators }) => ({ method, path, forOperators }))

  assert.deepEqual(
    atTheDoor.map(({ method, path, forOperators }) => ({ method, path, forOperators })),
    here,
  )
  for (const { path, scopes: needed } of atTheDoor) assert.deepEqual(needed, ['admin'], path)
  assert.deepEqual(
    Object.keys(samples),
    here.map(({ method, path }) => `${method} ${path}`),
  )
})

test('without the scope admin nothing is answered, decided or erased, whatever other scopes there are', async () => {
  const { ask, decided, erased } = world()
  const statuses = new Set<number>()

  for (const { method, path } of adminRoutes) {
    const [url, body] = samples[`${method} ${path}`]!
    for (const own of everySet.filter((set) => !set.includes('admin')))
      statuses.add((await ask(method, url, { ...operator, scopes: own }, body)).status)
    assert.equal((await ask(method, url, null, body)).status, 401, path)
    assert.equal((await ask(method, url, { ...operator, expiresAt: 1 }, body)).status, 401, path)
  }

  assert.deepEqual([...statuses], [403])
  assert.deepEqual([decided, erased], [[], []])
})

test('what concerns every tenant is for operators, and every route that decides writes down who, and by which request', async () => {
  const { ask, decided, erased, control } = world()

  for (const { method, path, forOperators, decides } of adminRoutes) {
    const [url, body] = samples[`${method} ${path}`]!
    control.set('keys/abcdefghijkl', { ...nothing, apiKey: keyOf('acme') })
    decided.splice(0)
    erased.splice(0)
    const { status } = await ask(method, url, admin, body)
    assert.ok(forOperators ? status === 403 : status === 200 || status === 201, `${path} is answered ${status}`)
    const deciders = [
      ...decided.map(({ by, requestId }) => ({ by, requestId })),
      ...erased.map(({ decider }) => decider),
    ]
    assert.deepEqual(deciders, decides ? [{ by: 'acme key:ada', requestId: 'r-1' }] : [], path)
    const byOperator = await ask(method, url, operator, body)
    assert.ok(byOperator.status < 300, `${path} is answered ${byOperator.status}`)
  }
})

test('a key belongs to the tenant of whoever made it, sees no more and may ask no more often', async () => {
  const { ask, decided } = world()

  const made = await ask('POST', '/v1/admin/keys', admin, { ...wanted, groups: ['hr'], expiresInDays: 1 })
  const inherits = await ask('POST', '/v1/admin/keys', admin, wanted)
  const refused = [
    await ask('POST', '/v1/admin/keys', admin, { ...wanted, tenant: 'zenith' }),
    await ask('POST', '/v1/admin/keys', admin, { ...wanted, groups: ['*'] }),
    await ask('POST', '/v1/admin/keys', admin, { ...wanted, groups: ['hr', 'board'] }),
  ]
  const faulty = [
    await ask('POST', '/v1/admin/keys', admin, { ...wanted, scopes: ['all'] }),
    await ask('POST', '/v1/admin/keys', admin, { ...wanted, requestsPerSecond: 1_000 }),
    await ask('POST', '/v1/admin/keys', admin, { name: '' }),
  ]
  const foreign = await ask('POST', '/v1/admin/keys', operator, { ...wanted, tenant: 'zenith', groups: ['board'] })

  assert.deepEqual([made.status, inherits.status, foreign.status], [201, 201, 201])
  assert.match(made.body.apiKey, /^fk_[a-z2-7]{12}_/)
  assert.deepEqual(
    refused.map(({ status }) => status),
    [403, 403, 403],
  )
  assert.deepEqual(
    faulty.map(({ status }) => status),
    [400, 400, 400],
  )
  assert.deepEqual(
    decided.map(({ apiKey }) => [apiKey!.tenant, apiKey!.groups, apiKey!.requestsPerSecond]),
    [
      ['acme', ['hr'], 7],
      ['acme', ['hr', 'it'], 7],
      ['zenith', ['board'], null],
    ],
  )
})

test('keys of other tenants are neither listed nor revoked, and are not told apart from none', async () => {
  const { ask, control, decided } = world()
  control.set('keys/aaaaaaaaaaaa', { ...nothing, apiKey: keyOf('acme') })
  control.set('keys/zzzzzzzzzzzz', { ...nothing, apiKey: keyOf('zenith') })

  const own = await ask('GET', '/v1/admin/keys', admin)
  const all = await ask('GET', '/v1/admin/keys', operator)
  const foreign = await ask('DELETE', '/v1/admin/keys/zzzzzzzzzzzz', admin)
  const none = await ask('DELETE', '/v1/admin/keys/nnnnnnnnnnnn', admin)
  const revoked = await ask('DELETE', '/v1/admin/keys/aaaaaaaaaaaa', admin)
  const again = await ask('DELETE', '/v1/admin/keys/aaaaaaaaaaaa', admin)

  const idsIn = ({ body }: { body: { keys: { id: string }[] } }) => body.keys.map(({ id }) => id)
  assert.deepEqual([idsIn(own), idsIn(all)], [['aaaaaaaaaaaa'], ['aaaaaaaaaaaa', 'zzzzzzzzzzzz']])
  assert.doesNotMatch(JSON.stringify(all.body), /sha256|0000/)
  assert.deepEqual([foreign.status, none.status], [404, 404])
  assert.equal(foreign.body.detail.replace('zzzzzzzzzzzz', ''), none.body.detail.replace('nnnnnnnnnnnn', ''))
  assert.deepEqual(revoked.body, again.body)
  assert.deepEqual(
    decided.map(({ subject, what }) => [subject, what]),
    [['keys/aaaaaaaaaaaa', 'keys revoke']],
  )
})

test('documents are erased of the own tenant only, and a tenant that was erased decides nothing', async () => {
  const { ask, erased, control } = world()

  await ask('POST', '/v1/admin/erasures', admin, { documents: ['a', 'b/c'], dryRun: true })
  await ask('POST', '/v1/admin/erasures', admin, { documents: 'all' })
  await ask('POST', '/v1/admin/erasures', operator, { tenant: 'zenith', documents: 'all' })
  const refused = [
    await ask('POST', '/v1/admin/erasures', admin, { tenant: 'zenith', documents: ['a'] }),
    await ask('POST', '/v1/admin/erasures', admin, { documents: ['\u0000'] }),
    await ask('POST', '/v1/admin/erasures', admin, { documents: [] }),
  ]
  const erasedAt = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, erasedAt: 1 }
  control.set('tenants/acme', { ...nothing, tenant: erasedAt })
  const after = await ask('GET', '/v1/admin/keys', admin)

  assert.deepEqual(
    erased.map(({ subject, dryRun }) => [subject, dryRun]),
    [
      [{ keys: ['acme/a', 'acme/b/c'] }, true],
      [{ tenant: 'acme' }, false],
      [{ tenant: 'zenith' }, false],
    ],
  )
  assert.deepEqual(
    refused.map(({ status }) => status),
    [403, 400, 400],
  )
  assert.equal(after.status, 403)
})

const keyOf = (tenant: string): ApiKey => ({
  sha256: '0'.repeat(64),
  name: `of ${tenant}`,
  tenant,
  scopes: ['search'],
  groups: ['*'],
  createdAt: 1,
  by: 'ada@host',
  expiresAt: null,
  revokedAt: null,
  requestsPerSecond: null,
  embeddedTokensPerMinute: null,
  generatedTokensPerMinute: null,
})
