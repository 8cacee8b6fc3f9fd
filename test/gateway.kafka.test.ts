import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after, before, test } from 'node:test'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { WebSocket } from 'ws'
import { connect } from '../client/client.ts'
import { type Scope, scopes } from '../services/principal.ts'
import { openPlatform, type Platform, type QueryRole, signed } from './platform.ts'
import { until } from './until.ts'

/** The door on real processes: keys in Kafka, a JWT of an issuer of our own, two instances of the query service behind. */
let platform: Platform
let queries: QueryRole[]
let gateway: QueryRole
let url: string
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
  await platform.worker()
  queries = [await platform.query({ ...signed, ...credentials }), await platform.query({ ...signed, ...credentials })]
  gateway = await platform.gateway(queries, credentials)
  url = gateway.url.replace(/^ws/, 'http').replace('/v1/ws', '')
})
after(async () => {
  await platform[Symbol.asyncDispose]()
  jwks.close()
})

interface Key {
  readonly id: string
  readonly apiKey: string
}

async function keyFor(tenant: string, ...own: Scope[]): Promise<Key> {
  const scopesOf = own.length === 0 ? [] : ['--scopes', own.join(',')]
  const command = platform.freshet('keys', 'create', `of ${tenant}`, '--tenant', tenant, ...scopesOf, '--json')
  await command.ended
  const key = JSON.parse(command.log()) as Key
  await until('the gateway knows the key', async () => (await ask('/v1/wait', key, {})).status !== 401, 10_000)
  return key
}

const ask = (path: string, { apiKey }: { apiKey: string }, body: object) =>
  fetch(`${url}${path}`, { method: 'POST', headers: { 'x-api-key': apiKey }, body: JSON.stringify(body) })

test('each scope opens its own operations and no other', async () => {
  const keys = new Map<Scope, Key>()
  for (const scope of scopes) keys.set(scope, await keyFor('acme', scope))
  const operations = {
    '/v1/search': { body: { query: 'a' }, scopes: ['search'] },
    '/v1/documents': {
      body: { documents: [{ id: 'matrix', text: 'A document of the matrix.' }] },
      scopes: ['publish'],
    },
    '/v1/wait': { body: { after: 'not a token' }, scopes: ['search', 'publish'] },
  }
  const statuses: Record<string, number> = {}

  for (const [path, { body }] of Object.entries(operations))
    for (const [scope, key] of keys) statuses[`${scope} ${path}`] = (await ask(path, key, body)).status

  for (const [path, { scopes: needed }] of Object.entries(operations))
    for (const scope of scopes) {
      const good = path === '/v1/wait' ? 400 : 200
      assert.equal(statuses[`${scope} ${path}`], needed.includes(scope) ? good : 403, `${scope} ${path}`)
    }
})

test('what one tenant publishes another never sees, whatever it sends along', async () => {
  const [acme, zenith] = [await keyFor('acme', 'search', 'publish'), await keyFor('zenith', 'search', 'publish')]
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

test('a key that is revoked ends its connections, everywhere, within a second', async () => {
  const key = await keyFor('acme', 'search')
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
  const key = await keyFor('acme', 'search')
  const [first] = queries

  await first!.kill('SIGKILL')
  const statuses = new Set<number>()
  for (let i = 0; i < 20; i++) statuses.add((await ask('/v1/search', key, { query: 'a' })).status)

  assert.deepEqual([...statuses], [200])
})
