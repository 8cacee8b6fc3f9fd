import type { IncomingMessage, ServerResponse } from 'node:http'
import type pino from 'pino'
import type { Callers } from './callers.ts'
import { asOperationError } from './connection.ts'
import { streamEvents } from './event-stream.ts'
import { shapeFault } from './json-shape.ts'
import { type Operation, type OperationPorts, perform } from './operations.ts'
import { clientMessage, type ErrorCode, faultsIn, OperationError, SUBPROTOCOL } from './protocol.ts'
import type { SubscribePorts } from './standing/subscribing.ts'

export interface HttpPorts extends OperationPorts, SubscribePorts {
  readonly callers: Callers
  readonly log: pino.Logger
  /** What keeps the service from answering; null if nothing does. */
  missing(): string | null
  ended(type: string, code: string, ms: number): void
}

/** The paths that are answered with POST, beside /health. */
export const operations: Readonly<Record<string, Operation['type']>> = {
  '/v1/search': 'search',
  '/v1/documents': 'publish',
  '/v1/wait': 'wait',
}

/** Where a standing query is followed, with GET. */
export const EVENTS_PATH = '/v1/subscribe'

/** The operations of the WebSocket over HTTP: the same fields, one JSON object each way. */
export function answerHttp(ports: HttpPorts): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => void answer(request, response, ports)
}

async function answer(request: IncomingMessage, response: ServerResponse, ports: HttpPorts): Promise<void> {
  const path = request.url?.split('?')[0] ?? ''
  const tell = (status: number, body: object, headers: Record<string, string> = {}) => {
    const type = status >= 400 ? 'application/problem+json' : 'application/json'
    response.writeHead(status, { 'content-type': type, ...headers }).end(`${JSON.stringify(body)}\n`)
  }
  if (path === '/health') {
    const missing = ports.missing()
    return tell(missing === null ? 200 : 503, { status: missing ?? 'serving' })
  }
  const streams = path === EVENTS_PATH && request.method === 'GET'
  const type = streams ? 'subscribe' : operations[path]
  if (!streams && (type === undefined || request.method !== 'POST')) {
    const detail = `POST to ${Object.keys(operations).join(', ')}, GET ${EVENTS_PATH}, or connect with a WebSocket, subprotocol ${SUBPROTOCOL}`
    if (path === EVENTS_PATH) return tell(405, { status: 405, code: 'method_not_allowed', detail }, { allow: 'GET' })
    if (type !== undefined) return tell(405, { status: 405, code: 'method_not_allowed', detail }, { allow: 'POST' })
    if (path === '/' || path === '/v1/ws')
      return tell(426, { status: 426, code: 'upgrade_required', detail }, { upgrade: 'websocket' })
    return tell(404, { status: 404, code: 'not_found', detail })
  }
  const left = new AbortController()
  response.once('close', () => left.abort())
  const began = performance.now()
  let code = 'ok'
  try {
    const principal = ports.callers.of(request.headers)
    if (principal === null) throw new OperationError('unauthenticated', 'send a credential')
    if ('status' in principal)
      throw new OperationError(principal.status === 401 ? 'unauthenticated' : 'forbidden', principal.reason)
    if (type === 'subscribe') return await streamEvents(request, response, principal, ports)
    const message = messageOf(type!, await bodyOf(request))
    const done = (await perform(message, principal, ports, { signal: left.signal })) as {
      token?: string
      asOf?: { token: string }
    }
    const token = done.token ?? done.asOf?.token
    tell(200, done, token === undefined ? {} : { 'x-freshet-token': token })
  } catch (error) {
    const told = asOperationError(error, ports.log)
    code = told.code
    if (left.signal.aborted) return
    const { message: detail, retryAfterMs, retryable, rate } = told
    const status = statuses[told.code]
    const again: Record<string, string> =
      retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }
    tell(status, { type: 'about:blank', status, code, detail, retryable }, { ...rate, ...again })
  } finally {
    ports.ended(type!, code, performance.now() - began)
  }
}

export const statuses: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  position_expired: 410,
  rejected: 422,
  unsupported: 422,
  rate_limited: 429,
  cancelled: 499,
  internal: 500,
  unavailable: 503,
  too_stale: 503,
  timeout: 504,
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX)
      throw new OperationError('bad_request', `the body is larger than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const fault = shapeFault(text)
  if (fault !== null) throw new OperationError('bad_request', `the body ${fault}`)
  try {
    return JSON.parse(text)
  } catch {
    throw new OperationError('bad_request', 'the body is not JSON')
  }
}

/** As a message of the WebSocket, without `type` and `id`, which HTTP says otherwise. */
function messageOf(type: Operation['type'], body: unknown): Operation {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new OperationError('bad_request', 'the body is no JSON object')
  const own = Object.keys(body).find((name) => name === 'type' || name === 'id')
  if (own !== undefined) throw new OperationError('bad_request', `${own} is not a field of this body; leave it out`)
  const message = { ...body, type, id: 'http' }
  const parsed = clientMessage.safeParse(message)
  if (!parsed.success) throw new OperationError('bad_request', faultsIn(parsed.error, message))
  return parsed.data as Operation
}

/** One document of 16 MiB, and the rest. */
const BODY_BYTES_MAX = 17 * 1024 * 1024
