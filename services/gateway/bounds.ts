import type { IncomingMessage, Server } from 'node:http'
import type { Server as TlsServer } from 'node:https'
import type net from 'node:net'
import { PassThrough, type Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { Refusal } from './refusal.ts'
import type { Route } from './routes.ts'

/** What a caller cannot have more of, however good its credential. */
export interface Bounds {
  readonly bodyBytesMax: number
  readonly connectionsMax: number
  readonly connectionsPerAddressMax: number
  readonly socketsPerSubjectMax: number
  readonly requestTimeoutMs: number
}

/** As Node's server takes them. */
export function boundsOfHttp({ requestTimeoutMs, connectionsMax }: Bounds) {
  return {
    headersTimeout: Math.min(HEADERS_MS, requestTimeoutMs),
    // Of a request that is passed on as it comes; the others are bounded by `boundArrival`.
    requestTimeout: Math.max(STREAMED_MS_MAX, requestTimeoutMs),
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: HEADER_BYTES_MAX,
    maxHeadersCount: HEADERS_MAX,
    maxConnections: connectionsMax,
    maxRequestsPerSocket: 0,
  }
}

/** Answers how many are open. */
export function boundConnections(server: Server | TlsServer, { connectionsPerAddressMax }: Bounds): () => number {
  const open = new Holders()
  let all = 0
  server.on('connection', (socket: net.Socket) => {
    const address = socket.remoteAddress ?? ''
    all++
    open.add(address)
    socket.once('close', () => {
      all--
      open.remove(address)
    })
    if (open.count(address) > connectionsPerAddressMax) socket.destroy()
  })
  return () => all
}

/** How much each holds; who holds nothing is not remembered. */
export class Holders {
  readonly #counts = new Map<string, number>()

  count(holder: string): number {
    return this.#counts.get(holder) ?? 0
  }

  add(holder: string): void {
    this.#counts.set(holder, this.count(holder) + 1)
  }

  remove(holder: string): void {
    const left = this.count(holder) - 1
    if (left <= 0) this.#counts.delete(holder)
    else this.#counts.set(holder, left)
  }
}

/** Bodies are held whole, so large ones are few at a time. */
export class LargeBodies {
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

/** Ends a request that is not there whole in time, as Node's server would. */
export function boundArrival(server: Server | TlsServer, { raw }: FastifyRequest, { requestTimeoutMs }: Bounds): void {
  if (raw.complete) return
  // One without a body is there whole, and nobody reads its end.
  const late = setTimeout(() => raw.complete || tooLate(server, raw), requestTimeoutMs)
  raw.once('end', () => clearTimeout(late)).once('close', () => clearTimeout(late))
}

/**
 * The body as it comes, for whoever passes it on: one that stands still for longer than a whole request may take is ended, unless
 * it is us who do not read.
 */
export function streamedBody(
  server: Server | TlsServer,
  { raw }: FastifyRequest,
  { requestTimeoutMs }: Bounds,
): Readable {
  // Whoever gives it up destroys it, which is not to end the connection: the client is still to be answered.
  const body = new PassThrough()
  body.on('error', () => {})
  const idle = setTimeout(() => {
    if (body.writableNeedDrain) idle.refresh()
    else tooLate(server, raw)
  }, requestTimeoutMs)
  const over = () => clearTimeout(idle)
  raw.on('data', () => idle.refresh())
  raw.once('end', over).once('close', over)
  raw.pipe(body)
  return body
}

/** A client that was answered before it had sent everything reads the answer while the rest is thrown away, for a while. */
export function throwAwayRest({ raw }: FastifyRequest): void {
  if (raw.complete) return
  raw.unpipe()
  raw.resume()
  const end = setTimeout(() => raw.destroy(), REST_MS_MAX)
  raw.once('close', () => clearTimeout(end))
}

function tooLate(server: Server | TlsServer, { socket }: IncomingMessage): void {
  const error = Object.assign(new Error('Request timeout'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' })
  server.emit('clientError', error, socket)
}

/** A path is what it says: one that leads elsewhere when it is tidied up would pass the wrong route's check. */
export function checkPath(url: string, { endsInId }: Pick<Route, 'endsInId'>): void {
  const written = url.split('?')[0]!
  const path = endsInId ? written.replace(/%2f/gi, '/') : written
  if (/\/\.{0,2}(\/|$)|%2e|%2f|%5c|\\/i.test(path))
    throw new Refusal(400, 'bad_request', 'the address has empty, dotted or encoded steps')
}

export const KEEP_ALIVE_MS = 60_000
const LARGE_BYTES = 1024 * 1024
const LARGE_BODIES_MAX = 16
const HEADERS_MS = 10_000
/** A body that is passed on as it comes, however much it waits for others. */
export const STREAMED_MS_MAX = 3_600_000
const REST_MS_MAX = 5_000
const HEADER_BYTES_MAX = 16 * 1024
const HEADERS_MAX = 100
