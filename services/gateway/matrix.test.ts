import assert from 'node:assert/strict'
import type { IncomingHttpHeaders } from 'node:http'
import { type TestContext, test } from 'node:test'
import { bundleConsole } from '../../console/bundle.ts'
import { type Credentials, openCredentials } from '../../test/credentials.ts'
import { type Door, doorSecret, OPERATORS, openDoor, openService, PAGE, raw, type Service } from '../../test/door.ts'
import { PRINCIPAL_HEADER, type Scope, scopes, verifyPrincipal } from '../principal.ts'
import { CONSOLE_PATHS, type Route, routes, SOCKET_PATH, SOCKET_SCOPES, type UpstreamRole } from './routes.ts'

/**
 * Role × object × verb, made from the tables that the gateway itself runs by: every route and the WebSocket, every set of scopes, every way of
 * not being let in. What is refused must not have reached a service.
 */

/** A way in: a route, or the handshake of a WebSocket. */
interface Way {
  readonly name: string
  readonly method: string
  readonly path: string
  /** Of the paths that it stands for. */
  readonly pattern: RegExp
  readonly scopes: readonly Scope[]
  /** It concerns every tenant. */
  readonly forOperators: boolean
  readonly takesBody: boolean
  /** It is passed on as it comes. */
  readonly streamed: boolean
  /** Headers that every request of this way has. */
  readonly own: Readonly<Record<string, string>>
}

const HANDSHAKE = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  'sec-websocket-protocol': 'freshet.v1+json',
}

const wayOf = ({ method, path, scopes, forOperators, streamed }: Route): Way => ({
  name: `${method} ${path}`,
  method,
  path: path.replace('*', 'minilm/infer').replace(/:[a-z]+/g, 'abcdefghijkl'),
  pattern: new RegExp(`^${path.replace('*', '.*').replace(/:[a-z]+/g, '[^/]+')}$`),
  scopes,
  forOperators,
  takesBody: method === 'POST' || method === 'PUT',
  streamed,
  own: {},
})
const socket: Way = {
  name: `WebSocket ${SOCKET_PATH}`,
  method: 'GET',
  path: SOCKET_PATH,
  pattern: new RegExp(`^${SOCKET_PATH}$`),
  scopes: SOCKET_SCOPES,
  forOperators: false,
  takesBody: false,
  streamed: false,
  own: HANDSHAKE,
}
const ways: readonly Way[] = [...routes.map(wayOf), socket]

const everySet: readonly (readonly Scope[])[] = Array.from({ length: 2 ** scopes.length }, (_, bits) =>
  scopes.filter((_scope, i) => (bits >> i) & 1),
)

interface World extends Door {
  readonly services: ReadonlyMap<UpstreamRole, Service>
  readonly credentials: Credentials
  reached(): number
}

async function world(t: TestContext): Promise<World> {
  const credentials = await openCredentials()
  const roles = [...new Set(routes.map(({ to }) => to))]
  const services = new Map<UpstreamRole, Service>()
  for (const role of roles)
    services.set(role, await openService(t, (request, response) => request.resume() && void response.end('{}')))
  const door = await openDoor(t, {
    authentication: credentials.authentication,
    upstreams: Object.fromEntries(roles.map((role) => [role, [services.get(role)!.origin]])),
    requestsPerSecond: 1e9,
    guesses: { perSecond: 1e9, burst: 1e9 },
    bounds: { socketsPerSubjectMax: 1_000 },
    console: await bundleConsole(),
  })
  const reached = () => [...services.values()].reduce((sum, { seen }) => sum + seen.length, 0)
  return { ...door, services, credentials, reached }
}

/** The text of a request of this way. A header whose value is a list is sent several times. */
function requestOf(way: Way, headers: Readonly<Record<string, string | string[] | undefined>>, body?: string): string {
  const sent = way.takesBody ? (body ?? '{}') : ''
  const all = {
    host: 'door',
    ...(way.own.connection === undefined && { connection: 'close' }),
    ...way.own,
    ...(way.takesBody && { 'content-type': 'application/json', 'content-length': String(sent.length) }),
    ...headers,
  }
  const lines = Object.entries(all).flatMap(([name, value]) =>
    value === undefined ? [] : [value].flat().map((each) => `${name}: ${each}\r\n`),
  )
  return `${way.method} ${way.path} HTTP/1.1\r\n${lines.join('')}\r\n${sent}`
}

async function statusOf(port: number, text: string): Promise<number> {
  const answer = await raw(port, text)
  return Number(/^HTTP\/1\.1 (\d+) /.exec(answer)?.[1] ?? 0)
}

test('what is answered is what is declared, and nothing else', async (t) => {
  const { gateway } = await world(t)

  const declared = [
    ...routes.map(({ method, path }) => `${method} ${path}`),
    ...CONSOLE_PATHS.map((path) => `GET ${path}`),
    `GET ${SOCKET_PATH}`,
    'OPTIONS /*',
  ]

  assert.deepEqual([...gateway.served].sort(), declared.sort())
  for (const { method, path, scopes: needed } of routes)
    assert.ok(needed.length > 0, `${method} ${path} is open to everybody: declare its scopes`)
})

test('every set of scopes opens what is declared for it, and every other way is closed before a service sees it', async (t) => {
  const { port, credentials, reached } = await world(t)
  let checked = 0

  for (const own of everySet)
    for (const tenant of ['acme', OPERATORS]) {
      const headers = { 'x-api-key': credentials.key(own, { tenant }) }
      for (const way of ways) {
        const before = reached()
        const status = await statusOf(port, requestOf(way, headers))
        const isDeclared = way.scopes.some((scope) => own.includes(scope))
        const mayEnter = isDeclared && (!way.forOperators || (tenant === OPERATORS && own.includes('admin')))
        const good = way === socket ? 101 : 200
        const what = `${way.name} of ${tenant} with ${own.join(' ') || 'no scope'}`
        assert.equal(status, mayEnter ? good : 403, what)
        assert.equal(reached() - before, mayEnter ? 1 : 0, what)
        checked++
      }
    }

  assert.equal(checked, 2 * 64 * (routes.length + 1))
})

test('no verb but the declared ones leads anywhere', async (t) => {
  const { port, credentials, reached } = await world(t)
  const headers = { 'x-api-key': credentials.key(scopes) }
  const paths = [...new Set([...ways.map(({ path }) => path), ...CONSOLE_PATHS])]

  for (const path of paths)
    for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']) {
      if (ways.some((way) => way.pattern.test(path) && way.method === method)) continue
      if (CONSOLE_PATHS.some((own) => own === path) && method === 'GET') continue
      const own = { takesBody: false, streamed: false, own: {} }
      const way: Way = { name: '', method, path, pattern: /^/, scopes, forOperators: false, ...own }
      const status = await statusOf(port, requestOf(way, headers))
      // A server that is no proxy ends the connection of CONNECT.
      assert.ok(status === 404 || (method === 'CONNECT' && status === 0), `${method} ${path} is answered ${status}`)
    }

  assert.equal(reached(), 0)
})

/** What is wrong with a request, and how it is refused. Each has a credential that would be good for the way, unless it says otherwise. */
interface Fault {
  readonly what: string
  readonly status: number
  /** Default: every way. */
  readonly of?: (way: Way) => boolean
  text(way: Way, good: Readonly<Record<string, string>>): string
}

/** Of a body that is passed on as it comes a service sees the beginning: `server.test.ts` says what becomes of it. */
const withBody = ({ takesBody, streamed }: Way) => takesBody && !streamed
const handshakes = (way: Way) => way === socket

const faults: readonly Fault[] = [
  { what: 'no credential', status: 401, text: (way) => requestOf(way, {}) },
  {
    what: 'Basic',
    status: 401,
    text: (way) => requestOf(way, { authorization: 'Basic YWRhOnNlY3JldA==' }),
  },
  {
    what: 'the credential in the address',
    status: 401,
    text: (way, good) => requestOf({ ...way, path: `${way.path}?api_key=${good['x-api-key']}` }, {}),
  },
  {
    what: 'the credential in a cookie',
    status: 401,
    text: (way, good) => requestOf(way, { cookie: `token=${good['x-api-key']}` }),
  },
  {
    what: 'two credentials',
    status: 401,
    text: (way, good) => requestOf(way, { ...good, authorization: `Bearer ${good['x-api-key']}` }),
  },
  {
    what: 'only a principal of its own',
    status: 401,
    text: (way) => requestOf(way, { [PRINCIPAL_HEADER]: 'v1.e30.9999999999999.forged', 'x-tenant-id': 'acme' }),
  },
  {
    what: 'a foreign Origin',
    status: 403,
    text: (way, good) => requestOf(way, { ...good, origin: 'https://evil.example' }),
  },
  { what: 'an opaque Origin', status: 403, text: (way, good) => requestOf(way, { ...good, origin: 'null' }) },
  {
    what: 'an Origin that begins as a listed one',
    status: 403,
    text: (way, good) => requestOf(way, { ...good, origin: `${PAGE}.evil.example` }),
  },
  {
    what: 'a foreign page without a credential',
    status: 403,
    text: (way) => requestOf(way, { origin: 'https://evil.example' }),
  },
  {
    what: 'large headers',
    status: 431,
    text: (way, good) => requestOf(way, { ...good, 'x-large': 'x'.repeat(20_000) }),
  },
  {
    what: 'a folded header',
    status: 400,
    text: (way, good) => requestOf(way, { ...good, 'x-a': 'b\r\n c' }),
  },
  {
    what: 'two lengths',
    status: 400,
    text: (way, good) => requestOf(way, { ...good, 'content-length': ['2', '3'] }),
  },
  {
    what: 'a length and chunks',
    status: 400,
    text: (way, good) => requestOf(way, { ...good, 'content-length': '2', 'transfer-encoding': 'chunked' }),
  },
  {
    what: 'headers that do not end',
    status: 408,
    text: (way, good) => requestOf(way, good).split('\r\n\r\n')[0]!,
  },
  {
    what: 'a body that does not come',
    status: 408,
    of: withBody,
    text: (way, good) => requestOf(way, { ...good, 'content-length': '100' }),
  },
  { what: 'a large body', status: 413, of: withBody, text: (way, good) => requestOf(way, good, 'x'.repeat(2_001)) },
  {
    what: 'a body that says it is large',
    status: 413,
    of: withBody,
    text: (way, good) => requestOf(way, { ...good, 'content-length': '99999999' }),
  },
  {
    what: 'a large body in chunks',
    status: 413,
    of: withBody,
    text: (way, good) =>
      requestOf(
        way,
        { ...good, 'content-length': undefined, 'transfer-encoding': 'chunked' },
        `1000\r\n${'x'.repeat(0x1000)}\r\n0\r\n\r\n`,
      ),
  },
  {
    what: 'a short Sec-WebSocket-Key',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf(way, { ...good, 'sec-websocket-key': 'short' }),
  },
  {
    what: 'no Sec-WebSocket-Key',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf(way, { ...good, 'sec-websocket-key': undefined }),
  },
  {
    what: 'another Sec-WebSocket-Version',
    status: 426,
    of: handshakes,
    text: (way, good) => requestOf(way, { ...good, 'sec-websocket-version': '8' }),
  },
  {
    what: 'another protocol in Upgrade',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf(way, { ...good, upgrade: 'h2c' }),
  },
  {
    what: 'a handshake with a body',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf(way, { ...good, 'content-length': '5' }),
  },
  {
    what: 'a handshake by POST',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf({ ...way, method: 'POST' }, good),
  },
  {
    what: 'a handshake of HTTP/1.0',
    status: 400,
    of: handshakes,
    text: (way, good) => requestOf(way, good).replace('HTTP/1.1', 'HTTP/1.0'),
  },
  {
    what: 'a handshake elsewhere',
    status: 404,
    of: handshakes,
    text: (way, good) => requestOf({ ...way, path: '/v1/search' }, good),
  },
]

test('every way refuses every faulty request as specified, before a service sees it', async (t) => {
  const { port, credentials, reached } = await world(t)
  const cases = ways.flatMap((way) =>
    faults
      .filter(({ of = () => true }) => of(way))
      .map((fault) => ({ way, fault, good: credentials.key(way.scopes, { tenant: OPERATORS }) })),
  )

  // All at once, since some of them take their time.
  const answers = await eachOf(cases, async ({ way, fault, good }) => [
    `${way.name}: ${fault.what}`,
    await statusOf(port, fault.text(way, { 'x-api-key': good })),
  ])

  assert.deepEqual(
    Object.fromEntries(answers),
    Object.fromEntries(cases.map(({ way, fault }) => [`${way.name}: ${fault.what}`, fault.status])),
  )
  assert.equal(reached(), 0)
  assert.ok(cases.length > ways.length * 10, 'nearly nothing was asked')
})

test('every way refuses every credential that is not good, whichever header it comes in', async (t) => {
  const { port, credentials, reached } = await world(t)
  let checked = 0

  for (const way of ways)
    for (const [what, credential] of Object.entries(await credentials.bad(way.scopes)))
      for (const headers of [{ 'x-api-key': credential }, { authorization: `Bearer ${credential}` }]) {
        const status = await statusOf(port, requestOf(way, headers))
        assert.equal(status, 401, `${way.name} with ${what}`)
        checked++
      }

  assert.equal(reached(), 0)
  assert.ok(checked > ways.length * 20, 'nearly nothing was asked')
})

test('whatever a caller sends along, a service hears of the tenant of its credential, and of no other', async (t) => {
  const { port, credentials, services } = await world(t)
  const smuggled = {
    [PRINCIPAL_HEADER]: 'v1.e30.9999999999999.forged',
    'x-tenant-id': 'acme',
    'x-freshet-tenant': 'acme',
    'x-forwarded-for': '127.0.0.1',
    'x-forwarded-host': 'acme.example',
    forwarded: 'for=127.0.0.1',
    cookie: 'tenant=acme',
  }
  const shown: { tenant: string; headers: IncomingHttpHeaders }[] = []

  for (const way of ways) {
    const tenant = way.forOperators ? OPERATORS : 'zenith'
    const key = credentials.key(way.scopes, { tenant })
    const token = await credentials.token(way.scopes, { tenant })
    for (const credential of [{ 'x-api-key': key }, { authorization: `Bearer ${token}` }]) {
      await statusOf(port, requestOf(way, { ...credential, ...smuggled }))
      const [request] = [...services.values()].flatMap(({ seen }) => seen.splice(0))
      shown.push({ tenant, headers: request!.headers })
    }
  }

  assert.equal(shown.length, 2 * ways.length)
  for (const { tenant, headers } of shown) {
    assert.equal(verifyPrincipal(headers[PRINCIPAL_HEADER], [doorSecret], Date.now())?.tenant, tenant)
    const told = Object.keys(headers).filter((name) => /tenant|forwarded|cookie|api-key|authorization/.test(name))
    assert.deepEqual(told, [])
  }
})

/** A few dozen at a time. */
async function eachOf<T, R>(all: readonly T[], work: (each: T) => Promise<R>): Promise<R[]> {
  const answers: R[] = new Array(all.length)
  const left = [...all.entries()].reverse()
  await Promise.all(
    Array.from({ length: 60 }, async () => {
      for (let next = left.pop(); next !== undefined; next = left.pop()) answers[next[0]] = await work(next[1])
    }),
  )
  return answers
}
