import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { connect } from '../client/client.ts'
import type { Action } from '../schemas/records.ts'
import { actions } from '../schemas/topics.ts'
import { routes, SOCKET_SCOPES } from '../services/gateway/routes.ts'
import { type Scope, scopes } from '../services/principal.ts'
import { needed } from '../services/query/operations.ts'
import { openPlatform, type Platform, type QueryRole, type Role, signed } from './platform.ts'
import { valuesOf } from './topic-records.ts'
import { until } from './until.ts'

/** The door on real processes: keys in Kafka, a JWT of an issuer of our own, two instances of the query service behind. */
let platform: Platform
let worker: Role
let queries: QueryRole[]
let gateway: QueryRole
let url: string
/** Made on the command line; it makes all others. */
let operator: Key
const issuer = await generateKeyPair('ES256')
const jwks = createServer(async (_request, response) => {
  const key = { ...(await exportJWK(issuer.publicKey)), kid: 'one', alg: 'ES256' }
  response.end(JSON.stringify({ keys: [key] }))
})

before(async () => {
  jwks.listen(0, '127.0.0.1')
  await once(jwks, 'listening')
  const base = `http://127.0.0.1:${(jwks.address() as AddressInfo).port}`
  const credentials = {
    FRESHET_JWT_ISSUER: base,
    FRESHET_JWT_JWKS_URL: `${base}/jwks`,
    FRESHET_ORIGINS: 'https://app.example',
  }
  platform = await openPlatform()
  worker = await platform.worker()
  const admin = await platform.admin({ FRESHET_OPERATOR_TENANT: 'operators' })
  queries = [await platform.query({ ...signed, ...credentials }), await platform.query({ ...signed, ...credentials })]
  gateway = await platform.gateway(queries, {
    ...credentials,
    FRESHET_ADMIN_UPSTREAMS: admin.url,
    FRESHET_OPERATOR_TENANT: 'operators',
  })
  url = gateway.url.replace(/^ws/, 'http').replace('/v1/ws', '')
  const command = platform.freshet('keys', 'create', 'operator', '--tenant', 'operators', '--scopes', 'admin', '--json')
  await command.ended
  operator = JSON.parse(command.log()) as Key
  await known(operator)
})
after(async () => {
  await platform[Symbol.asyncDispose]()
  jwks.close()
})

interface Key {
  readonly id: string
  readonly apiKey: string
}

/** A key that is not known yet is a guess to the gateway, which takes few of them. */
const GUESS_EVERY_MS = 400
const statusOf = async (key: Key) => (await ask('/v1/wait', key, {})).status
const known = (key: Key) =>
  until('the gateway knows the key', async () => (await statusOf(key)) !== 401, 10_000, GUESS_EVERY_MS)
const unknown = (key: Key) =>
  until('the gateway knows that the key is revoked', async () => (await statusOf(key)) === 401, 10_000)

async function keyFor(tenant: string, scopesOf: readonly Scope[], groups: readonly string[] = ['*']): Promise<Key> {
  const made = await ask('/v1/admin/keys', operator, { name: `of ${tenant}`, tenant, scopes: scopesOf, groups })
  const key = (await made.json()) as Key
  assert.equal(made.status, 201, JSON.stringify(key))
  await known(key)
  return key
}

const ask = (path: string, { apiKey }: { apiKey: string }, body: object) =>
  fetch(`${url}${path}`, { method: 'POST', headers: { 'x-api-key': apiKey }, body: JSON.stringify(body) })

const bodies: Readonly<Record<string, object>> = {
  '/v1/search': { query: 'a' },
  '/v1/documents': { documents: [{ id: 'matrix', text: 'A document of the matrix.' }] },
  '/v1/wait': { after: 'not a token' },
  '/v1/admin/keys': { name: '' },
  '/v1/admin/erasures': { documents: [] },
}
const messages: Readonly<Record<keyof typeof needed, object>> = {
  search: bodies['/v1/search']!,
  subscribe: bodies['/v1/search']!,
  publish: bodies['/v1/documents']!,
  wait: bodies['/v1/wait']!,
}

test('each scope opens its own routes and operations and no other', async () => {
  const keys = new Map<Scope, Key>()
  for (const scope of scopes) keys.set(scope, await keyFor('acme', [scope]))
  const served = routes.filter(({ to }) => to === 'query' || to === 'admin')

  for (const [scope, { apiKey }] of keys) {
    for (const { method, path, scopes: own, forOperators } of served) {
      const body = method === 'POST' ? { body: JSON.stringify(bodies[path]) } : {}
      const address = `${url}${path.replace(':id', 'abcdefghijkl')}`
      const { status } = await fetch(address, { method, headers: { 'x-api-key': apiKey }, ...body })
      const isOpen = own.includes(scope) && !forOperators
      assert.equal(status === 403, !isOpen, `${scope} at ${method} ${path} is answered ${status}`)
      assert.notEqual(status, 401)
    }
    const socket = new WebSocket(gateway.url, ['freshet.v1+json'], { headers: { 'x-api-key': apiKey } })
    socket.on('error', () => {})
    const opened = await Promise.race([
      once(socket, 'message').then(() => true),
      once(socket, 'unexpected-response').then(() => false),
    ])
    assert.equal(opened, SOCKET_SCOPES.includes(scope), `${scope} opens a WebSocket`)
    if (!opened) continue
    for (const [type, own] of Object.entries(needed)) {
      socket.send(JSON.stringify({ type, id: type, ...messages[type as keyof typeof needed] }))
      const [answer] = await once(socket, 'message')
      const { code } = JSON.parse(String(answer)) as { code?: string }
      assert.equal(code === 'forbidden', !own.includes(scope), `${scope}: ${type} is answered ${String(answer)}`)
    }
    socket.terminate()
  }
})

test('what an administrator decides over HTTP is in force at once, and written down with who it was and which request', async () => {
  const admin = await keyFor('acme', ['admin'])
  const made = await ask('/v1/admin/keys', admin, { name: 'made over HTTP', scopes: ['search'] })
  const key = (await made.json()) as Key
  await known(key)
  const before = await ask('/v1/search', key, { query: 'a' })

  const revoked = await fetch(`${url}/v1/admin/keys/${key.id}`, {
    method: 'DELETE',
    headers: { 'x-api-key': admin.apiKey },
  })
  await unknown(key)
  const status = await fetch(`${url}/v1/admin/status`, { headers: { 'x-api-key': operator.apiKey } })
  const written = (await valuesOf<Action>(platform, actions)).filter(({ subject }) => subject === `keys/${key.id}`)

  assert.deepEqual([made.status, before.status, revoked.status, status.status], [201, 200, 200, 200])
  const requestIds = [made, revoked].map(({ headers }) => headers.get('x-request-id'))
  assert.deepEqual(
    written.map(({ what, by, requestId }) => ({ what, by, requestId })),
    ['keys create', 'keys revoke'].map((what, i) => ({ what, by: `acme key:${admin.id}`, requestId: requestIds[i] })),
  )
})

test('what one tenant publishes another never sees, whatever it sends along', async () => {
  const [acme, zenith] = [await keyFor('acme', ['search', 'publish']), await keyFor('zenith', ['search', 'publish'])]
  const mine = await connect(gateway.url, { apiKey: acme.apiKey })
  const { token, documents } = await mine.publish([{ id: 'plan', text: 'The secret plan of acme.' }], {
    ack: 'indexed',
  })

  const theirs = await fetch(`${url}/v1/search`, {
    method: 'POST',
    headers: { 'x-api-key': zenith.apiKey, 'x-tenant-id': 'acme', 'x-freshet-principal': 'v1.acme.1.1' },
    body: JSON.stringify({ query: 'the secret plan', freshness: { after: token } }),
  })
  const like = await ask('/v1/search', zenith, { query: { like: 'acme/plan' }, mode: 'dense' })
  const waited = (await (await ask('/v1/wait', zenith, { after: token })).json()) as { documents: object[] }
  const found = await mine.search({ query: 'the secret plan', freshness: { after: token } })
  await mine.close()

  assert.equal(documents[0]?.outcome, 'indexed')
  assert.deepEqual(((await theirs.json()) as { hits: unknown[] }).hits, [])
  assert.equal(like.status, 404)
  assert.deepEqual(
    waited.documents.map((each) => (each as { outcome: string }).outcome),
    ['applied'],
  )
  assert.equal(found.hits[0]?.documentId, 'plan')
})

test('a document with an acl is shown to those in its groups and no other, also when only the acl has changed', async () => {
  const [publisher, hr, it, zenith] = [
    await keyFor('acme', ['search', 'publish']),
    await keyFor('acme', ['search'], ['hr']),
    await keyFor('acme', ['search'], ['it']),
    await keyFor('zenith', ['search'], ['hr', 'it']),
  ]
  const publish = async (acl: string[] | null): Promise<string> => {
    const documents = [{ id: 'salaries', text: 'What salaries there are at the company.', acl }]
    const answer = await ask('/v1/documents', publisher, { documents, ack: 'indexed' })
    return ((await answer.json()) as { token: string }).token
  }
  const seenBy = async (key: Key, token: string): Promise<boolean> => {
    const searches = [{ query: 'salaries at the company' }, { query: { like: 'acme/salaries' }, mode: 'dense' }]
    const [answer, like] = await Promise.all(
      searches.map((search) => ask('/v1/search', key, { ...search, freshness: { after: token } })),
    )
    const { hits } = (await answer!.json()) as { hits: { documentId: string }[] }
    const found = hits.some(({ documentId }) => documentId === 'salaries')
    assert.equal(like!.status, found ? 200 : 404)
    return found
  }
  const everybody = async (token: string) => Promise.all([publisher, hr, it, zenith].map((key) => seenBy(key, token)))
  const embedded = () => worker.metric('freshet_chunks_total', { from: 'model' })

  const forHr = await everybody(await publish(['hr']))
  const before = await embedded()
  const forIt = await everybody(await publish(['it']))
  const forAll = await everybody(await publish(null))

  assert.deepEqual(forHr, [true, true, false, false])
  assert.deepEqual(forIt, [true, false, true, false])
  assert.deepEqual(forAll, [true, true, true, false])
  assert.ok(before > 0)
  assert.equal(await embedded(), before)
})

test('a key that is revoked ends its connections, everywhere, within a second', async () => {
  const key = await keyFor('acme', ['search'])
  const sockets = Array.from(
    { length: 4 },
    () => new WebSocket(gateway.url, ['freshet.v1+json'], { headers: { 'x-api-key': key.apiKey } }),
  )
  await Promise.all(sockets.map((socket) => once(socket, 'message')))
  const closed = Promise.all(sockets.map((socket) => once(socket, 'close')))

  await platform.freshet('keys', 'revoke', key.id).ended
  const codes = (await closed).map(([code]) => code as number)

  assert.deepEqual(codes, [4401, 4401, 4401, 4401])
  assert.equal((await ask('/v1/search', key, { query: 'a' })).status, 401)
})

test('a JWT of the issuer opens the door as long as it is good, and a page shows it in its first message', async () => {
  const base = `http://127.0.0.1:${(jwks.address() as AddressInfo).port}`
  const sign = (seconds: number, aud = 'freshet') =>
    new SignJWT({ tenant: 'acme', scope: 'search' })
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer(base)
      .setAudience(aud)
      .setSubject('ada')
      .setExpirationTime(Math.floor(Date.now() / 1_000) + seconds)
      .sign(issuer.privateKey)
  const open = () => new WebSocket(gateway.url, ['freshet.v1+json'], { headers: { origin: 'https://app.example' } })
  const [page, early] = [open(), open()]
  await Promise.all([page, early].map((socket) => once(socket, 'open')))

  page.send(JSON.stringify({ type: 'init', token: await sign(60) }))
  const [ready] = await once(page, 'message')
  page.send(JSON.stringify({ type: 'search', id: '1', query: 'a' }))
  const [result] = await once(page, 'message')
  early.send(JSON.stringify({ type: 'search', id: '1', query: 'a' }))
  const [code] = await once(early, 'close')
  const statuses = []
  for (const token of [await sign(60), await sign(60, 'others'), await sign(-60)])
    statuses.push((await ask('/v1/search', { apiKey: token }, { query: 'a' })).status)
  // The skew that is allowed counts too.
  const brief = new WebSocket(gateway.url, ['freshet.v1+json'], {
    headers: { authorization: `Bearer ${await sign(-27)}` },
  })
  const [ended] = await once(brief, 'close')
  page.close()

  assert.equal(JSON.parse(String(ready)).type, 'ready')
  assert.equal(JSON.parse(String(result)).type, 'result')
  assert.equal(code, 4401)
  assert.deepEqual(statuses, [200, 401, 401])
  assert.equal(ended, 4401)
})

test('with one of two instances gone, every search is answered', async () => {
  const key = await keyFor('acme', ['search'])
  const [first] = queries

  await first!.kill('SIGKILL')
  const statuses = new Set<number>()
  for (let i = 0; i < 20; i++) statuses.add((await ask('/v1/search', key, { query: 'a' })).status)

  assert.deepEqual([...statuses], [200])
})
