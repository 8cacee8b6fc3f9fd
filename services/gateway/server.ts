import { randomUUID } from 'node:crypto'
import type { Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type { Readable } from 'node:stream'
import type { SecureContextOptions } from 'node:tls'
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { PageFile } from '../../console/bundle.ts'
import type { Principal } from '../principal.ts'
import type { Access, Admitted } from './access.ts'
import type { Admission } from './admission.ts'
import {
  type Bounds,
  boundArrival,
  boundConnections,
  boundsOfHttp,
  checkPath,
  KEEP_ALIVE_MS,
  LargeBodies,
  streamedBody,
  throwAwayRest,
} from './bounds.ts'
import type { Certificate } from './certificate.ts'
import { serveConsole } from './console.ts'
import type { Forwarder } from './forward.ts'
import { allowPages } from './pages.ts'
import type { Pools } from './pools.ts'
import { answerOf, asRefusal, Refusal } from './refusal.ts'
import { type Route, routes, SOCKET_PATH, SOCKET_SCOPES, type UpstreamRole } from './routes.ts'
import type { Spliced } from './sockets.ts'
import { upgrades } from './upgrades.ts'

export interface ServerPorts {
  readonly admission: Admission
  readonly forwarder: Forwarder
  /** Of the roles that exist. */
  readonly pools: ReadonlyMap<UpstreamRole, Pools>
  readonly certificate: Certificate | null
  /** null: it is not served. */
  readonly console: readonly PageFile[] | null
  readonly secret: string
  readonly now: () => number
  readonly bounds: Bounds
  /** One call for each request. */
  ended(access: Access): void
  /** One call for each WebSocket that is opened or refused. */
  upgraded(access: Access): void
  /** One call for each WebSocket that was open. */
  closed(admitted: Admitted, ms: number): void
}

export interface GatewayServer {
  readonly app: FastifyInstance
  /** Everything that is answered here, one line each: `POST /v1/search`. */
  readonly served: readonly string[]
  readonly sockets: ReadonlySet<Spliced>
  readonly connections: () => number
  /** Of a gateway with TLS: connections from now on see this certificate. */
  renew(context: SecureContextOptions): void
  /** Takes nothing new, lets what is under way end, tells open WebSockets to come back. Resolves when nobody is left, or after the time. */
  drain(msMax: number): Promise<void>
}

/** What is known of a request while it is under way. */
interface Seen {
  readonly began: number
  principal: Principal | null
  origin: string | null
  attempts: number
  code: string
}

export function gatewayServer(ports: ServerPorts): GatewayServer {
  const { bounds, certificate } = ports
  const app = fastify(bounds, certificate)
  const server = app.server as Server | TlsServer
  Object.assign(server, boundsOfHttp(bounds))
  const connections = boundConnections(server, bounds)
  const seen = new WeakMap<FastifyRequest, Seen>()
  const large = new LargeBodies()

  const served: string[] = []
  app.addHook('onRoute', ({ method, url }) => {
    for (const each of [method].flat()) served.push(`${each} ${url}`)
  })
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body))
  app.addHook('onRequest', async (request) => {
    seen.set(request, { began: performance.now(), principal: null, origin: null, attempts: 0, code: 'ok' })
    if (!streamed.has(request.routeOptions.url ?? '')) boundArrival(server, request, bounds)
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
  const streamed = new Set(routes.filter((route) => route.streamed).map(({ path }) => path))
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
  if (ports.console !== null) serveConsole(app, ports.console)

  for (const route of routes) {
    const pools = ports.pools.get(route.to)
    if (pools === undefined) continue
    if (!route.streamed) serve(app, route, pools)
    else
      app.register(async (apart) => {
        apart.removeAllContentTypeParsers()
        apart.addContentTypeParser('*', (request, _body, done) => done(null, streamedBody(server, request, bounds)))
        serve(apart, route, pools)
      })
  }
  // Who cannot open a WebSocket hears why, which the handshake does not say.
  app.get(SOCKET_PATH, async (request) => {
    const principal = await ports.admission.principal(request.headers, request.socket.remoteAddress ?? '')
    ports.admission.checkScope(principal, SOCKET_SCOPES)
    throw new Refusal(426, 'upgrade_required', 'connect with a WebSocket', { upgrade: 'websocket' })
  })
  const { sockets, handle } = upgrades({ ...ports, pools: ports.pools.get('query') })
  server.on('upgrade', handle)

  return {
    app,
    served,
    sockets,
    connections,
    renew: (context) => (server as TlsServer).setSecureContext(context),
    async drain(msMax) {
      for (const spliced of [...sockets]) spliced.leave()
      const over = Promise.all([...sockets].map(({ closed }) => closed)).then(() => app.close())
      // A connection whose last answer is given would stay for the next request.
      const tidying = setInterval(() => server.closeIdleConnections(), IDLE_LOOK_MS)
      await Promise.race([over, new Promise((resolve) => setTimeout(resolve, msMax).unref())])
      clearInterval(tidying)
      for (const spliced of [...sockets]) spliced.end()
      server.closeAllConnections()
    },
  }

  function serve(at: FastifyInstance, route: Route, pools: Pools): void {
    at.route({
      method: route.method,
      url: route.path,
      // Before the body is read.
      onRequest: async (request, reply) => {
        const { admission } = ports
        checkPath(request.url, route)
        admission.checkOrigin(request.headers)
        const principal = await admission.principal(request.headers, request.socket.remoteAddress ?? '')
        seen.get(request)!.principal = principal
        admission.checkScope(principal, route.scopes)
        if (route.forOperators) admission.checkOperator(principal)
        reply.headers(admission.take(principal))
        if (!route.streamed) large.admit(request, reply)
      },
      onResponse: async (request) => throwAwayRest(request),
      handler: async (request, reply) => {
        const left = new AbortController()
        // Who has had the whole answer has not left.
        reply.raw.once('close', () => reply.raw.writableFinished || left.abort())
        const record = seen.get(request)!
        const answer = await ports.forwarder.forward(pools, route, record.principal!, {
          method: route.method,
          url: request.url,
          headers: request.headers,
          body: request.body as Buffer | Readable | undefined,
          requestId: request.id,
          signal: left.signal,
        })
        record.origin = answer.origin
        record.attempts = answer.attempts
        return reply.code(answer.status).headers(answer.headers).header('x-request-id', request.id).send(answer.body)
      },
    })
  }
}

const IDLE_LOOK_MS = 20

function fastify(bounds: Bounds, certificate: Certificate | null): FastifyInstance {
  return (Fastify as unknown as (options: object) => FastifyInstance)({
    ...(certificate !== null && { https: certificate.present }),
    http: boundsOfHttp(bounds),
    bodyLimit: bounds.bodyBytesMax,
    connectionTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    exposeHeadRoutes: false,
    genReqId: () => randomUUID(),
    return503OnClosing: true,
    forceCloseConnections: 'idle',
    frameworkErrors: (error: FastifyError, request: FastifyRequest, reply: FastifyReply) =>
      refuse(reply, asRefusal(error), 'problem', request.id),
  })
}

function refuse(reply: FastifyReply, refusal: Refusal, errors: Route['errors'], requestId: string): FastifyReply {
  const { status, headers, body } = answerOf(refusal, errors, requestId)
  // As bytes, or Fastify adds a charset, which JSON has not.
  return reply.code(status).headers(headers).send(Buffer.from(body))
}
