import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { PAGE_HEADER, PRINCIPAL_HEADER, type Principal, signPage, signPrincipal } from '../principal.ts'
import { passedOn } from './forward.ts'
import { closeFrame, FrameEdge } from './frames.ts'
import { Refusal } from './refusal.ts'
import type { Upstreams } from './upstreams.ts'

export interface Spliced {
  /** The instance that it is joined with. */
  readonly origin: string
  /** Says at the next edge between two frames that the client is to come back, and closes. */
  leave(): void
  end(): void
  readonly closed: Promise<void>
}

export interface SpliceOptions {
  readonly request: IncomingMessage
  readonly client: Duplex
  readonly head: Buffer
  /** null: a browser, which says who it is in its first message, to the service. */
  readonly principal: Principal | null
  readonly requestId: string
  readonly upstreams: Upstreams
  readonly secret: string
  readonly now: () => number
}

/** A handshake that is not one is refused before anybody behind us sees it. */
export function checkHandshake({ method, httpVersion, headers }: IncomingMessage): void {
  const wrong = (what: string) => new Refusal(400, 'bad_request', what)
  if (method !== 'GET' || httpVersion !== '1.1') throw wrong('a WebSocket begins with GET and HTTP/1.1')
  if (headers.upgrade?.toLowerCase() !== 'websocket') throw wrong('Upgrade: must be websocket')
  if (headers['sec-websocket-version'] !== '13')
    throw new Refusal(426, 'bad_request', 'Sec-WebSocket-Version: must be 13', { 'sec-websocket-version': '13' })
  if (!/^[A-Za-z0-9+/]{22}==$/.test(headers['sec-websocket-key'] ?? ''))
    throw wrong('Sec-WebSocket-Key: must be 16 bytes in base64')
  if (headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined)
    throw wrong('a handshake has no body')
}

/** Connects the client with an instance, and from then on only copies bytes. Rejects with a `Refusal` when none can be reached. */
export async function splice(options: SpliceOptions): Promise<Spliced> {
  const { upstreams, now } = options
  const tried = new Set<string>()
  for (;;) {
    const origin = upstreams.pick(now(), Math.random, tried)
    if (origin === null || tried.has(origin))
      throw new Refusal(503, 'unavailable', `no instance of the ${upstreams.role} service is well`, {
        'retry-after': String(Math.ceil(upstreams.retryAfterMs(now()) / 1_000)),
      })
    tried.add(origin)
    upstreams.began(origin, now())
    const service = await connected(origin).catch(() => null)
    if (service === null) {
      upstreams.ended(origin, true, now())
      continue
    }
    return join(service, origin, options)
  }
}

function join(service: net.Socket, origin: string, options: SpliceOptions): Spliced {
  const { request, client, head, principal, upstreams, now } = options
  const closed = Promise.withResolvers<void>()
  const edge = new FrameEdge()
  /** The service's answer to the handshake is no frame. */
  let answer: Buffer | null = Buffer.alloc(0)
  let leaving = false
  /** The client was told to come back. */
  let left = false
  let over = false

  const end = (): void => {
    if (over) return
    over = true
    client.destroy()
    service.destroy()
    upstreams.ended(origin, false, now())
    closed.resolve()
  }
  /** What was sent before is still to arrive. */
  const endSoon = (): void => {
    for (const socket of [client, service]) if (!socket.writableEnded) socket.end()
    if (client.destroyed || left) end()
    else setTimeout(end, CLOSE_MS).unref()
  }
  const closeAtEdge = (): void => {
    if (!leaving || over || answer !== null || !edge.atEdge) return
    leaving = false
    left = true
    service.pause()
    client.end(closeFrame(1012, 'the gateway restarts; connect again'))
    setTimeout(end, CLOSE_MS).unref()
  }
  service.on('data', (chunk: Buffer) => {
    if (client.writableEnded) return
    if (!client.write(chunk)) {
      service.pause()
      client.once('drain', () => service.resume())
    }
    if (answer === null) edge.pass(chunk)
    else {
      answer = Buffer.concat([answer, chunk])
      const headEnd = answer.indexOf('\r\n\r\n')
      if (headEnd >= 0) {
        edge.pass(answer.subarray(headEnd + 4))
        answer = null
      } else if (answer.length > ANSWER_BYTES_MAX) return end()
    }
    closeAtEdge()
  })
  for (const socket of [client, service]) {
    socket.on('error', end)
    socket.on('end', endSoon)
    socket.on('close', endSoon)
  }
  if (client instanceof net.Socket) client.setNoDelay(true).setTimeout(0)
  service.write(handshake(options, new URL(origin).host))
  if (head.length > 0) service.write(head)
  client.pipe(service)
  return {
    origin,
    end,
    leave() {
      leaving = true
      closeAtEdge()
    },
    closed: closed.promise,
  }

  function handshake({ secret, requestId }: SpliceOptions, host: string): string {
    const wanted = request.headers as IncomingHttpHeaders
    const headers: Record<string, string> = {
      host,
      connection: 'Upgrade',
      upgrade: 'websocket',
      'sec-websocket-version': '13',
      'sec-websocket-key': wanted['sec-websocket-key']!,
      ...(wanted['sec-websocket-protocol'] && { 'sec-websocket-protocol': String(wanted['sec-websocket-protocol']) }),
      ...passedOn(wanted),
      'x-request-id': requestId,
      // The service lets nobody in but from a page that was let in here.
      ...(principal === null &&
        wanted.origin !== undefined && {
          origin: wanted.origin,
          [PAGE_HEADER]: signPage(wanted.origin, secret, now()),
        }),
      ...(principal !== null && { [PRINCIPAL_HEADER]: signPrincipal(principal, secret, now()) }),
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    return `GET ${pathOf(request.url)} HTTP/1.1\r\n${lines.join('')}\r\n`
  }
}

/** Without the query string: nobody is to put a token there. */
const pathOf = (url = '/'): string => url.split('?')[0]!

function connected(origin: string): Promise<net.Socket> {
  const { hostname, port } = new URL(origin)
  const socket = net.connect({ host: hostname, port: Number(port || 80), noDelay: true, keepAlive: true })
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => socket.destroy(new Error('no answer')), CONNECT_MS)
    socket.once('connect', () => {
      clearTimeout(late)
      socket.removeListener('error', reject)
      resolve(socket)
    })
    socket.once('error', (error) => {
      clearTimeout(late)
      reject(error)
    })
  })
}

const CONNECT_MS = 2_000
const CLOSE_MS = 2_000
const ANSWER_BYTES_MAX = 16 * 1024
