import { randomUUID } from 'node:crypto'
import type { IncomingMessage, Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type net from 'node:net'
import type { Duplex } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Principal } from '../principal.ts'
import type { Admission } from './admission.ts'
import type { Certificate } from './certificate.ts'
import type { Forwarder } from './forward.ts'
import type { Pools } from './pools.ts'
import { answerOf, Refusal } from './refusal.ts'
import { type Route, routes, SOCKET_PATH, SOCKET_SCOPES, type UpstreamRole } from './routes.ts'
import { checkHandshake, type Spliced, splice } from './sockets.ts'

export interface ServerPorts {
  readonly admission: Admission
  readonly forwarder: Forwarder
  /** Of the roles that exist. */
  readonly pools: ReadonlyMap<UpstreamRole, Pools>
  readonly certificate: Certificate | null
  readonly secret: string
  readonly now: () => number
  readonly bounds: Bounds
  /** One call for each request, and for each WebSocket when it is opened or refused. */
  ended(access: Access): void
}

export interface Bounds {
  readonly bodyBytesMax: number
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  readonly socketsPerSubjectMax: number
  readonly requestTimeoutMs: number
}

/** What the access log says: no credential, no query string, no body. */
export interface Access {
  readonly requestId: string
  readonly method: string
  /** The declared path; `-` for what does not exist. */
  readonly route: string
  readonly status: number
  readonly code: string
  readonly ms: number
  readonly tenant: string | null
  readonly subject: string | null
  readonly address: string
  readonly origin: string | null
  readonly attempts: number
}

export interface GatewayServer {
  readonly app: FastifyInstance
  readonly sockets: ReadonlySet<Spliced>
  readonly connections: () => number
  /** Of a gateway with TLS: connections from now on see this certificate. */
  renew(context: SecureContextOptions): void
  /** Takes nothing new, lets what is under way end, tells open WebSockets to come back. Resolves when nobody is left, or after the time. */
  drain(msMax: number): Promise<void>
}

export function gatewayServer(ports: ServerPorts): GatewayServer {
  const { bounds, certificate } = ports
  const app = (Fastify as unknown as (options: object) => FastifyInstance)({
    ...(certificate !== null && { https: certificate.present }),
    http: limitsOfHttp(bounds),
    bodyLimit: bounds.bodyBytesMax,
    requestTimeout: bounds.requestTimeoutMs,
    connectionTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    exposeHeadRoutes: false,
    genReqId: () => randomUUID(),
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      refuse(reply, asRefusal(error), 'problem', request.id),
  })
  const server = app.server as Server | TlsServer
  Object.assign(server, limitsOfHttp(bounds))
  const connections = boundConnections(server, bounds)
  const sockets = new Set<Spliced>()
  const large = new LargeBodies()
  const perSubject = new Map<string, number>()
  const seen = new WeakMap<
    FastifyRequest,
    { began: number; principal: Principal | null; origin: string | null; attempts: number; code: string }
  >()

  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request) => {
    seen.set(request, { began: performance.now(), principal: null, origin: null, attempts: 0, code: 'ok' })
  })
  app.addHook('onResponse', async (request, reply) => {
    const { began, principal, origin, attempts, code } = seen.get(request)!
    ports.ended({
      requestId: request.id,
      method: request.method,
      route: request.routeOptions.url ?? '-',
      status: reply.statusCode,
      code,
      ms: performance.now() - began,
      tenant: principal?.tenant ?? null,
      subject: principal?.subject ?? null,
      address: request.socket.remoteAddress ?? '',
      origin,
      attempts,
    })
  })
  const shapes = new Map(routes.map(({ path, errors }) => [path, errors]))
  const failed = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refusal = asRefusal(error)
    const told = seen.get(request)
    if (told !== undefined) told.code = refusal.code
    return refuse(reply, refusal, shapes.get(request.routeOptions.url ?? '') ?? 'problem', request.id)
  }
  app.setErrorHandler(failed)
  app.setNotFoundHandler((request, reply) =>
    failed(new Refusal(404, 'not_found', 'there is nothing at this address'), request, reply),
  )
  allowPages(app, ports.admission)

  for (const route of routes) {
    const pools = ports.pools.get(route.to)
    if (pools === undefined) continue
    app.route({
      method: route.method,
      url: route.path,
      // Before the body is read.
      onRequest: async (request, reply) => {
        const { admission } = ports
        checkPath(request.url)
        admission.checkOrigin(request.headers)
        const principal = await admission.principal(request.headers, request.socket.remoteAddress ?? '')
        seen.get(request)!.principal = principal
        admission.checkScope(principal, route.scopes)
        reply.headers(admission.take(principal))
        large.admit(request, reply)
      },
      handler: async (request, reply) => {
        const left = new AbortController()
        reply.raw.once('close', () => left.abort())
        const record = seen.get(request)!
        const answer = await ports.forwarder.forward(pools, route, record.principal!, {
          method: route.method,
          url: request.url,
          headers: request.headers,
          body: request.body as Buffer | undefined,
          requestId: request.id,
          signal: left.signal,
        })
        record.origin = answer.origin
        record.attempts = answer.attempts
        return reply.code(answer.status).headers(answer.headers).header('x-request-id', request.id).send(answer.body)
      },
    })
  }

  // Who cannot open a WebSocket hears why, which the handshake does not say.
  app.get(SOCKET_PATH, async (request) => {
    const principal = await ports.admission.principal(request.headers, request.socket.remoteAddress ?? '')
    ports.admission.checkScope(principal, SOCKET_SCOPES)
    throw new Refusal(426, 'upgrade_required', 'connect with a WebSocket', { upgrade: 'websocket' })
  })

  const upgrade = async (request: IncomingMessage, client: Duplex, head: Buffer): Promise<void> => {
    const began = performance.now()
    const requestId = randomUUID()
    const address = request.socket.remoteAddress ?? ''
    let principal: Principal | null = null
    const tell = (status: number, code: string) =>
      ports.ended({
        requestId,
        method: 'GET',
        route: SOCKET_PATH,
        status,
        code,
        ms: performance.now() - began,
        tenant: principal?.tenant ?? null,
        subject: principal?.subject ?? null,
        address,
        origin: null,
        attempts: 1,
      })
    client.on('error', () => client.destroy())
    try {
      const { admission } = ports
      const pools = ports.pools.get('query')
      if (pools === undefined || request.url?.split('?')[0] !== SOCKET_PATH)
        throw new Refusal(404, 'not_found', `WebSockets are at ${SOCKET_PATH}`)
      checkHandshake(request)
      admission.checkOrigin(request.headers)
      const { authorization, 'x-api-key': apiKey, origin } = request.headers
      // A page cannot send headers with a handshake: it says who it is in its first message.
      if (origin === undefined || authorization !== undefined || apiKey !== undefined) {
        principal = await admission.principal(request.headers, address)
        admission.checkScope(principal, SOCKET_SCOPES)
        admission.take(principal)
      }
      const holder = principal === null ? `address ${address}` : `${principal.tenant} ${principal.subject}`
      const open = perSubject.get(holder) ?? 0
      if (open >= bounds.socketsPerSubjectMax)
        throw new Refusal(429, 'too_many_connections', `there are ${open} open WebSockets already; close some`, {
          'retry-after': '5',
        })
      perSubject.set(holder, open + 1)
      const over = () => {
        const left = perSubject.get(holder)! - 1
        if (left === 0) perSubject.delete(holder)
        else perSubject.set(holder, left)
      }
      const { secret, now } = ports
      try {
        const { upstreams } = pools
        const spliced = await splice({ request, client, head, principal, requestId, upstreams, secret, now })
        sockets.add(spliced)
        void spliced.closed.then(() => {
          sockets.delete(spliced)
          over()
        })
      } catch (error) {
        over()
        throw error
      }
      tell(101, 'ok')
    } catch (error) {
      const refusal = asRefusal(error)
      tell(refusal.status, refusal.code)
      refuseUpgrade(client, refusal, requestId)
    }
  }
  server.on('upgrade', (request, client, head) => void upgrade(request, client, head))

  return {
    app,
    sockets,
    connections,
    renew: (context) => (server as TlsServer).setSecureContext(context),
    async drain(msMax) {
      for (const spliced of [...sockets]) spliced.leave()
      const over = Promise.all([...sockets].map(({ closed }) => closed)).then(() => app.close())
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, msMax).unref())])
      for (const spliced of [...sockets]) spliced.end()
      server.closeAllConnections()
    },
  }
}

/** A path is what it says: one that leads elsewhere when it is tidied up would pass the wrong route's check. */
function checkPath(url: string): void {
  const path = url.split('?')[0]!
  if (/\/\.{0,2}(\/|$)|%2e|%2f|%5c|\\/i.test(path))
    throw new Refusal(400, 'bad_request', 'the address has empty, dotted or encoded steps')
}

/** Bodies are held whole, so large ones are few at a time. */
class LargeBodies {
  #open = 0

  admit({ headers }: FastifyRequest, { raw }: FastifyReply): void {
    const length = headers['content-length']
    const isLarge = length === undefined ? headers['transfer-encoding'] !== undefined : Number(length) > LARGE_BYTES
    if (!isLarge) return
    if (this.#open >= LARGE_BODIES_MAX)
      throw new Refusal(503, 'unavailable', 'too many large requests are under way', { 'retry-after': '1' })
    this.#open++
    raw.once('close', () => {
      this.#open--
    })
  }
}

function limitsOfHttp({ requestTimeoutMs, connectionsMax }: Bounds) {
  return {
    headersTimeout: Math.min(HEADERS_MS, requestTimeoutMs),
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADER_BYTES_MAX,
    maxHeadersCount: HEADERS_MAX,
    maxConnections: connectionsMax,
    maxRequestsPerSocket: 0,
  }
}

/** Answers how many are open. */
function boundConnections(server: Server | TlsServer, { connectionsPerAddressMax }: Bounds): () => number {
  const open = new Map<string, number>()
  let all = 0
  server.on('connection', (socket: net.Socket) => {
    const address = socket.remoteAddress ?? ''
    const count = (open.get(address) ?? 0) + 1
    all++
    open.set(address, count)
    socket.once('close', () => {
      all--
      const left = open.get(address)! - 1
      if (left === 0) open.delete(address)
      else open.set(address, left)
    })
    if (count > connectionsPerAddressMax) socket.destroy()
  })
  return () => all
}

/** CORS: pages of the listed origins may call, and read what the rate headers say. */
function allowPages(app: FastifyInstance, admission: Admission): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers
    if (origin === undefined) return
    reply.header('vary', 'origin')
    admission.checkOrigin(request.headers)
    reply.header('access-control-allow-origin', origin)
    reply.header(
      'access-control-expose-headers',
      'ratelimit, ratelimit-policy, retry-after, x-request-id, x-freshet-token',
    )
  })
  app.options('/*', async (request, reply) => {
    if (request.headers.origin === undefined || request.headers['access-control-request-method'] === undefined)
      throw new Refusal(404, 'not_found', 'there is nothing at this address')
    return reply
      .code(204)
      .header('access-control-allow-methods', 'GET, POST, PUT, DELETE')
      .header(
        'access-control-allow-headers',
        'authorization, x-api-key, content-type, x-freshet-after, prefer, last-event-id, idempotency-key, traceparent',
      )
      .header('access-control-max-age', '600')
      .send()
  })
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const { statusCode, code, message } = error as FastifyError
  if (statusCode === 413) return new Refusal(413, 'too_large', 'the body is larger than FRESHET_BODY_BYTES_MAX')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Refusal(statusCode, 'bad_request', code === 'FST_ERR_BAD_URL' ? 'the address is malformed' : message)
  return new Refusal(500, 'internal', 'the gateway failed; its log says why')
}

function refuse(reply: FastifyReply, refusal: Refusal, errors: Route['errors'], requestId: string): FastifyReply {
  const { status, headers, body } = answerOf(refusal, errors, requestId)
  // As bytes, or Fastify adds a charset, which JSON has not.
  return reply.code(status).headers(headers).send(Buffer.from(body))
}

function refuseUpgrade(client: Duplex, refusal: Refusal, requestId: string): void {
  const { status, headers, body } = answerOf(refusal, 'problem', requestId)
  const lines = Object.entries({ ...headers, connection: 'close', 'content-length': String(Buffer.byteLength(body)) })
  client.end(
    `HTTP/1.1 ${status} ${refusal.code}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
  )
  setTimeout(() => client.destroy(), REFUSED_MS).unref()
}

const LARGE_BYTES = 1024 * 1024
const LARGE_BODIES_MAX = 16
const HEADERS_MS = 10_000
const KEEP_ALIVE_MS = 60_000
const HEADER_BYTES_MAX = 16 * 1024
const HEADERS_MAX = 100
const REFUSED_MS = 2_000
