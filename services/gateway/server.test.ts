import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import { type Door, openDoor, raw, doorSecret as secret, openService as service } from '../../test/door.ts'
import { until } from '../../test/until.ts'
import {
  isAdmittedPage,
  noOwnLimits,
  PAGE_HEADER,
  PRINCIPAL_HEADER,
  type Principal,
  verifyPrincipal,
} from '../principal.ts'
import type { Bounds } from './bounds.ts'
import type { Pools } from './pools.ts'
import type { UpstreamRole } from './routes.ts'

const ada: Principal = {
  tenant: 'acme',
  subject: 'key:ada',
  scopes: ['search', 'publish', 'subscribe'],
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
}
/** By credential. */
const holders: Readonly<Record<string, Principal>> = {
  ada,
  reader: { ...ada, subject: 'key:reader', scopes: ['search'] },
  asks: { ...ada, subject: 'key:asks', scopes: ['ask'] },
  infers: { ...ada, subject: 'key:infers', scopes: ['infer'] },
  slow: { ...ada, subject: 'key:slow', limits: { ...noOwnLimits, requestsPerSecond: 1 } },
}
/** Before the instances of one role. */
async function door(
  t: TestContext,
  origins: readonly string[],
  bounds: Partial<Bounds> = {},
  role: UpstreamRole = 'query',
): Promise<Door & { readonly of: Pools }> {
  const authentication = {
    identify: async (credential: string) => holders[credential] ?? { refused: 'the API key is not known' },
  }
  const opened = await openDoor(t, { authentication, upstreams: { [role]: origins }, bounds })
  return { ...opened, of: opened.pools.get(role)! }
}

const search = (url: string, headers: Record<string, string> = {}, body = '{"query":"a"}') =>
  fetch(`${url}/v1/search`, {
    method: 'POST',
    body,
    headers: { 'x-api-key': 'ada', 'content-type': 'application/json', ...headers },
  })

test('a request goes to the service with the principal that the gateway found, and nothing that claims to be one', async (t) => {
  const { origin, seen } = await service(t, (request, response) => {
    request.resume()
    response.writeHead(200, { 'content-type': 'application/json', 'x-freshet-token': 't1' }).end('{"hits":[]}')
  })
  const { url, log } = await door(t, [origin])

  const answer = await search(url, {
    [PRINCIPAL_HEADER]: 'v1.forged.1.1',
    'x-tenant-id': 'zenith',
    'x-freshet-tenant': 'zenith',
    'x-forwarded-for': '10.0.0.1',
    forwarded: 'for=10.0.0.1',
    cookie: 'a=b',
    'x-freshet-after': 'token',
  })

  assert.deepEqual([answer.status, await answer.json()], [200, { hits: [] }])
  assert.equal(answer.headers.get('x-freshet-token'), 't1')
  assert.match(answer.headers.get('ratelimit-policy')!, /^"requests";q=\d+;w=\d+$/)
  const { headers } = seen[0]!
  assert.deepEqual(verifyPrincipal(headers[PRINCIPAL_HEADER], [secret], Date.now()), ada)
  const names = Object.keys(headers).filter((name) => /tenant|forwarded|cookie|api-key|authorization/.test(name))
  assert.deepEqual(names, [])
  assert.equal(headers['x-freshet-after'], 'token')
  assert.deepEqual(
    log.map(({ route, status, tenant, subject }) => [route, status, tenant, subject]),
    [['/v1/search', 200, 'acme', 'key:ada']],
  )
})

test('who is not known, lacks the scope, comes from a foreign page, or asks too often is refused before any service sees it', async (t) => {
  const { origin, seen } = await service(t, (_request, response) => void response.end('{}'))
  const { url } = await door(t, [origin])
  const publish = { method: 'POST', headers: { 'x-api-key': 'reader' }, body: '{}' }
  await search(url, { 'x-api-key': 'slow' })
  await search(url, { 'x-api-key': 'slow' })
  const before = seen.length

  const answers: readonly [string, Promise<Response>, number, string][] = [
    ['no credential', fetch(`${url}/v1/search`, { method: 'POST', body: '{}' }), 401, 'unauthenticated'],
    ['an unknown key', search(url, { 'x-api-key': 'nobody' }), 401, 'unauthenticated'],
    ['Basic', search(url, { 'x-api-key': '', authorization: 'Basic YTpi' }), 401, 'unauthenticated'],
    ['a scope that is missing', fetch(`${url}/v1/documents`, publish), 403, 'scope_missing'],
    ['a foreign page', search(url, { origin: 'https://evil.example' }), 403, 'origin_refused'],
    ['an opaque origin', search(url, { origin: 'null' }), 403, 'origin_refused'],
    ['too often', search(url, { 'x-api-key': 'slow' }), 429, 'rate_limited'],
    ['too large', search(url, {}, 'x'.repeat(2_001)), 413, 'too_large'],
    ['nothing there', fetch(`${url}/v1/secrets`, { headers: { 'x-api-key': 'ada' } }), 404, 'not_found'],
    ['a role that is not there', fetch(`${url}/v2`, { headers: { 'x-api-key': 'ada' } }), 404, 'not_found'],
    ['another verb', fetch(`${url}/v1/search`, { headers: { 'x-api-key': 'ada' } }), 404, 'not_found'],
    ['a malformed address', fetch(`${url}/v1/%zz`, { headers: { 'x-api-key': 'ada' } }), 400, 'bad_request'],
  ]

  for (const [what, asked, status, code] of answers) {
    const answer = await asked
    const problem = (await answer.json()) as { code: string; status: number; detail: string; requestId: string }
    assert.deepEqual([answer.status, problem.code, problem.status], [status, code, status], what)
    assert.equal(answer.headers.get('content-type'), 'application/problem+json', what)
    assert.equal(answer.headers.get('x-request-id'), problem.requestId, what)
    if (status === 429) assert.ok(Number(answer.headers.get('retry-after')) >= 1, what)
    if (status === 401) assert.match(answer.headers.get('www-authenticate')!, /^Bearer/, what)
  }
  assert.equal(seen.length, before, 'a service has seen a request that was refused')
})

test('credentials that are not good are not tried without end', async (t) => {
  const { url } = await door(t, [])
  const statuses = []

  for (let i = 0; i < 22; i++) statuses.push((await search(url, { 'x-api-key': `guess ${i}` })).status)

  assert.deepEqual([statuses[0], statuses[19], statuses[21]], [401, 401, 429])
  assert.equal((await search(url)).status, 429, 'nor is a good one then')
})

test('a page of a listed origin may call', async (t) => {
  const { origin } = await service(t, (_request, response) => void response.end('{}'))
  const { url } = await door(t, [origin])
  const ask = { origin: 'https://app.example', 'access-control-request-method': 'POST' }

  const preflight = await fetch(`${url}/v1/search`, { method: 'OPTIONS', headers: ask })
  const foreign = await fetch(`${url}/v1/search`, {
    method: 'OPTIONS',
    headers: { ...ask, origin: 'https://evil.example' },
  })
  const answer = await search(url, { origin: 'https://app.example' })

  assert.deepEqual([preflight.status, foreign.status, answer.status], [204, 403, 200])
  assert.equal(preflight.headers.get('access-control-allow-origin'), 'https://app.example')
  assert.match(preflight.headers.get('access-control-allow-headers')!, /authorization/)
  assert.equal(foreign.headers.get('access-control-allow-origin'), null)
  assert.equal(answer.headers.get('access-control-allow-origin'), 'https://app.example')
})

test('what does no harm twice is asked of another instance, and what might is not', async (t) => {
  const broken = await service(t, (request) => void request.socket.destroy())
  const well = await service(t, (_request, response) => void response.end('{"from":"well"}'))
  const { url, of: pools } = await door(t, [broken.origin, well.origin])
  const statuses = { search: new Set<number>(), documents: new Set<number>() }

  for (let i = 0; i < 12; i++) {
    statuses.search.add((await search(url)).status)
    // Each begins anew with both instances.
    for (const { origin } of pools.upstreams.instances) {
      pools.upstreams.began(origin, 0)
      pools.upstreams.ended(origin, false, 0)
    }
    const published = await fetch(`${url}/v1/documents`, {
      method: 'POST',
      body: '{}',
      headers: { 'x-api-key': 'ada' },
    })
    statuses.documents.add(published.status)
  }

  assert.deepEqual([...statuses.search], [200])
  assert.deepEqual([...statuses.documents].sort(), [200, 502])
})

test('what a service says did not come in time is passed on, and neither asked again nor held against it', async (t) => {
  const { origin, seen } = await service(t, (request, response) => {
    request.resume()
    response.writeHead(504, { 'content-type': 'application/problem+json' }).end('{"code":"timeout"}')
  })
  const { url, of: pools } = await door(t, [origin])
  const statuses = []

  for (let i = 0; i < 6; i++) statuses.push((await search(url)).status)

  assert.deepEqual(statuses, Array(6).fill(504))
  assert.equal(seen.length, 6)
  assert.equal(pools.upstreams.instances[0]!.failures, 0)
})

test('an instance that is gone, silent or unwell is told apart', async (t) => {
  const silent = await service(t, () => {})
  const { origin: gone, close } = await service(t, () => {})
  close()
  const publish = (url: string) =>
    fetch(`${url}/v1/documents`, { method: 'POST', body: '{}', headers: { 'x-api-key': 'ada' } })

  const toSilent = await publish((await door(t, [silent.origin])).url)
  const toGone = await publish((await door(t, [gone])).url)
  const toNobody = await publish((await door(t, [])).url)

  assert.deepEqual([toSilent.status, toNobody.status], [504, 503])
  // The health check may have found out first.
  assert.ok([502, 503].includes(toGone.status), String(toGone.status))
  assert.ok(Number(toNobody.headers.get('retry-after')) >= 1)
})

test('a path that leads elsewhere when it is tidied up is refused', async (t) => {
  const { origin, seen } = await service(t, (_request, response) => void response.end('{}'))
  const { port } = await door(t, [origin], {}, 'inference')
  const post = (path: string) =>
    raw(
      port,
      `POST ${path} HTTP/1.1\r\nHost: a\r\nX-Api-Key: infers\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}`,
    )

  const straight = await post('/v2/models/minilm/infer')
  for (const path of [
    '/v2/models/../repository/a',
    '/v2/models/%2e%2e/repository/a',
    '/v2/models/..%2frepository',
    '/v2/models//a',
    '/v2/models/a\\..\\b',
  ])
    assert.match(await post(path), /^HTTP\/1.1 400 /, path)

  assert.match(straight, /^HTTP\/1.1 200 /)
  assert.deepEqual(
    seen.map(({ url }) => url),
    ['/v2/models/minilm/infer'],
  )
})

test('an answer that is a stream comes as it is made, and who leaves ends it', async (t) => {
  const left = Promise.withResolvers<void>()
  const { origin } = await service(t, (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    response.once('close', left.resolve)
  })
  const { url, of: pools } = await door(t, [origin], {}, 'orchestrator')
  const leaving = new AbortController()

  const answer = await fetch(`${url}/v1/runs/r1`, { headers: { 'x-api-key': 'asks' }, signal: leaving.signal })
  const { value } = await answer.body!.getReader().read()
  leaving.abort()
  await left.promise

  assert.equal(Buffer.from(value!).toString(), 'data: 1\n\n')
  assert.equal(pools.upstreams.instances[0]!.failures, 0, 'that the caller left is no fault of the instance')
})

interface Sockets {
  readonly origin: string
  readonly upgrades: IncomingMessage[]
  readonly server: WebSocketServer
}

/** Says every message again. */
async function sockets(t: TestContext): Promise<Sockets> {
  const upgrades: IncomingMessage[] = []
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'freshet.v1+json' })
  await once(server, 'listening')
  server.on('connection', (socket, request) => {
    upgrades.push(request)
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
  })
  t.after(() => {
    for (const client of server.clients) client.terminate()
    server.close()
  })
  return { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, upgrades, server }
}

function connect(port: number, headers: Record<string, string>, path = '/v1/ws'): WebSocket {
  return new WebSocket(`ws://127.0.0.1:${port}${path}`, ['freshet.v1+json'], { headers })
}

/** `open`, or the status that the handshake was answered with. */
async function outcome(socket: WebSocket): Promise<string> {
  socket.on('error', () => {})
  return Promise.race([
    once(socket, 'open').then(() => 'open'),
    once(socket, 'unexpected-response').then(([, response]) => String((response as IncomingMessage).statusCode)),
  ])
}

test('a WebSocket is authenticated before it exists, and then joined with a service', async (t) => {
  const behind = await sockets(t)
  const { port, gateway, log, closed } = await door(t, [behind.origin])
  const socket = connect(port, { 'x-api-key': 'ada', [PRINCIPAL_HEADER]: 'forged', 'x-tenant-id': 'zenith' })
  await once(socket, 'open')
  const large = Buffer.alloc(300_000, 7)

  socket.send(large)
  const [echo] = await once(socket, 'message')
  socket.close(4321, 'bye')
  const [code] = await once(socket, 'close')

  assert.ok(large.equals(echo as Buffer))
  assert.equal(code, 4321)
  const { headers } = behind.upgrades[0]!
  assert.deepEqual(verifyPrincipal(headers[PRINCIPAL_HEADER], [secret], Date.now()), ada)
  assert.equal(headers['x-tenant-id'], undefined)
  assert.equal(headers['x-api-key'], undefined)
  await Promise.all([...gateway.sockets].map((spliced) => spliced.closed))
  assert.deepEqual(
    log.map(({ route, status, origin, subject }) => [route, status, origin, subject]),
    [['/v1/ws', 101, behind.origin, 'key:ada']],
  )
  assert.equal(closed.length, 1)
})

test('a WebSocket that may not be is refused in the handshake', async (t) => {
  const behind = await sockets(t)
  const { port } = await door(t, [behind.origin])
  const open = [connect(port, { 'x-api-key': 'reader' }), connect(port, { 'x-api-key': 'reader' })]
  await Promise.all(open.map((socket) => once(socket, 'open')))
  const before = behind.upgrades.length

  const refused = {
    'no credential': await outcome(connect(port, {})),
    'an unknown key': await outcome(connect(port, { 'x-api-key': 'nobody' })),
    'a foreign page with a key': await outcome(connect(port, { 'x-api-key': 'ada', origin: 'https://evil.example' })),
    'a foreign page': await outcome(connect(port, { origin: 'https://evil.example' })),
    'another path': await outcome(connect(port, { 'x-api-key': 'ada' }, '/v1/search')),
    'too many': await outcome(connect(port, { 'x-api-key': 'reader' })),
  }

  assert.deepEqual(refused, {
    'no credential': '401',
    'an unknown key': '401',
    'a foreign page with a key': '403',
    'a foreign page': '403',
    'another path': '404',
    'too many': '429',
  })
  assert.equal(behind.upgrades.length, before)
})

test('a page says who it is in its first message: without a credential it is joined as nobody', async (t) => {
  const behind = await sockets(t)
  const { port } = await door(t, [behind.origin])

  const socket = connect(port, { origin: 'https://app.example' })
  await once(socket, 'open')

  const { headers } = behind.upgrades[0]!
  assert.equal(headers[PRINCIPAL_HEADER], undefined)
  assert.equal(headers.origin, 'https://app.example')
  assert.ok(isAdmittedPage(headers[PAGE_HEADER], headers.origin, [secret], Date.now()), 'the service cannot know it')
  socket.terminate()
})

test('a page that came from this door may open a WebSocket and call, and one of another port or name may not', async (t) => {
  const behind = await sockets(t)
  const { port } = await door(t, [behind.origin], { socketsPerSubjectMax: 10 })
  const own = `http://127.0.0.1:${port}`

  const outcomes = {
    own: await outcome(connect(port, { origin: own })),
    'another scheme': await outcome(connect(port, { origin: `https://127.0.0.1:${port}` })),
    'another port': await outcome(connect(port, { origin: 'http://127.0.0.1:3000' })),
    'another host': await outcome(connect(port, { origin: `http://localhost:${port}` })),
    'a name that points here': await outcome(
      connect(port, { origin: `http://evil.example:${port}`, host: `evil.example:${port}` }),
    ),
  }
  const forged = await outcome(connect(port, { origin: 'https://evil.example', [PAGE_HEADER]: 'page.a.9.b' }))
  const { status } = await search(`http://127.0.0.1:${port}`, { origin: own, 'x-api-key': 'nobody' })

  assert.deepEqual(outcomes, {
    own: 'open',
    'another scheme': '403',
    'another port': '403',
    'another host': '403',
    'a name that points here': '403',
  })
  assert.equal(forged, '403')
  assert.equal(status, 401, 'it still needs a key')
})

test('a gateway that ends tells open WebSockets to come back, between two frames', async (t) => {
  const behind = await sockets(t)
  const { port, gateway } = await door(t, [behind.origin])
  const socket = connect(port, { 'x-api-key': 'ada' })
  await once(socket, 'open')
  socket.send('a')
  const [echo] = await once(socket, 'message')
  const closed = once(socket, 'close')

  await gateway.drain(5_000)
  const [code] = await closed

  assert.equal(String(echo), 'a')
  assert.equal(code, 1012)
})

test('a gateway that ends answers what is under way, and then waits for nobody who only keeps a connection open', async (t) => {
  const asked = Promise.withResolvers<() => void>()
  const { origin } = await service(t, (request, response) => {
    request.resume()
    asked.resolve(() => response.end('{"late":true}'))
  })
  const { url, gateway } = await door(t, [origin])
  const answer = search(url)
  const finish = await asked.promise

  const drained = gateway.drain(60_000)
  finish()
  const { status } = await answer
  await drained

  assert.equal(status, 200)
  await until('its connection is closed', () => gateway.connections() === 0)
})

test('one address cannot have all connections', async (t) => {
  const { port } = await door(t, [], { connectionsPerAddressMax: 3 })
  const held = Array.from({ length: 3 }, () => net.connect(port, '127.0.0.1'))
  await Promise.all(held.map((socket) => once(socket, 'connect')))
  t.after(() =>
    held.forEach((socket) => {
      socket.destroy()
    }),
  )

  const fourth = httpRequest({ port, host: '127.0.0.1', path: '/' })
  fourth.end()
  const [error] = await once(fourth, 'error')

  assert.equal((error as NodeJS.ErrnoException).code, 'ECONNRESET')
})
