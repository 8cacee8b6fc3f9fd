import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import net, { type AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { PageFile } from '../console/bundle.ts'
import type { Authentication } from '../services/authentication.ts'
import type { Access } from '../services/gateway/access.ts'
import { Admission } from '../services/gateway/admission.ts'
import type { Bounds } from '../services/gateway/bounds.ts'
import type { Certificate } from '../services/gateway/certificate.ts'
import { Forwarder } from '../services/gateway/forward.ts'
import { openPools, type Pools } from '../services/gateway/pools.ts'
import type { UpstreamRole } from '../services/gateway/routes.ts'
import { type GatewayServer, gatewayServer } from '../services/gateway/server.ts'
import type { Limit } from '../services/limits.ts'

/** The gateway's server before services of the test's own: no Kafka, no process. */
export interface Door {
  readonly url: string
  readonly port: number
  readonly gateway: GatewayServer
  readonly log: Access[]
  /** ms that each WebSocket was open. */
  readonly closed: number[]
  readonly pools: ReadonlyMap<UpstreamRole, Pools>
}

export interface DoorOptions {
  readonly authentication: Authentication
  /** By role, its instances. */
  readonly upstreams: Partial<Readonly<Record<UpstreamRole, readonly string[]>>>
  readonly bounds?: Partial<Bounds>
  readonly requestsPerSecond?: number
  readonly guesses?: Limit
  readonly certificate?: Certificate
  readonly console?: readonly PageFile[]
}

/** What the gateway of a test signs principals with. */
export const doorSecret = 'of the tests, and of nothing else at all'
/** The tenant whose keys decide for all. */
export const OPERATORS = 'operators'
export const PAGE = 'https://app.example'

export async function openDoor(t: TestContext, options: DoorOptions): Promise<Door> {
  const { authentication, upstreams, certificate = null, guesses } = options
  const pools = new Map(
    Object.entries(upstreams).map(([role, origins]) => [
      role as UpstreamRole,
      openPools(role, origins, { answerMs: 300, checked() {} }),
    ]),
  )
  const log: Access[] = []
  const closed: number[] = []
  const gateway = gatewayServer({
    admission: new Admission({
      authentication,
      origins: [PAGE],
      tls: certificate !== null,
      operatorTenant: OPERATORS,
      requestsPerSecond: options.requestsPerSecond ?? 1_000,
      instances: 1,
      ...(guesses && { guesses }),
      now: Date.now,
    }),
    forwarder: new Forwarder({ secret: doorSecret, now: Date.now, random: Math.random, retried() {} }),
    pools,
    certificate,
    console: options.console ?? null,
    secret: doorSecret,
    now: Date.now,
    bounds: {
      bodyBytesMax: 2_000,
      connectionsMax: 200,
      connectionsPerAddressMax: 100,
      socketsPerSubjectMax: 2,
      requestTimeoutMs: 500,
      ...options.bounds,
    },
    ended: (access) => log.push(access),
    upgraded: (access) => log.push(access),
    closed: (_admitted, ms) => closed.push(ms),
  })
  const url = await gateway.app.listen({ port: 0, host: '127.0.0.1' })
  t.after(async () => {
    await gateway.drain(0)
    await gateway.app.close()
    for (const each of pools.values()) await each.close()
  })
  return { url, port: Number(new URL(url).port), gateway, log, closed, pools }
}

/** A service behind the gateway that remembers what reached it. */
export interface Service {
  readonly origin: string
  readonly seen: IncomingMessage[]
  close(): void
}

export async function openService(
  t: TestContext,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<Service> {
  const seen: IncomingMessage[] = []
  const server = createServer((request, response) => {
    if (request.url === '/health') return response.end('{}')
    seen.push(request)
    handler(request, response)
  })
  // A handshake is answered with the end of the connection: it came this far.
  server.on('upgrade', (request, socket) => {
    seen.push(request)
    socket.end('HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n')
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { origin, seen, close: () => server.close() }
}

/** What a raw request is answered with, to the end of the connection. */
export async function raw(port: number, text: string): Promise<string> {
  const socket = net.connect(port, '127.0.0.1')
  // An answer may come, and the connection end, while this is still being sent.
  socket.on('error', () => {})
  socket.write(text)
  let answer = ''
  socket.on('data', (chunk) => {
    answer += chunk
  })
  await once(socket, 'close')
  return answer
}
