import type { IncomingMessage, ServerResponse } from 'node:http'
import type pino from 'pino'
import { Reject, reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { answerBulk, BulkRoom } from './bulk-request.ts'
import type { Callers } from './callers.ts'
import { streamEvents } from './event-stream.ts'
import { problemOf, tell } from './http-answer.ts'
import { BULK_PATH, DOCUMENTS_PATH, messageIn, operations, publishIn, waitIn } from './http-message.ts'
import { asOperationError } from './operating.ts'
import { type needed, type Operation, type OperationPorts, perform } from './operations.ts'
import { OperationError, SUBPROTOCOL } from './protocol.ts'
import type { SubscribePorts } from './standing/subscribing.ts'

export interface HttpPorts extends OperationPorts, SubscribePorts {
  readonly callers: Callers
  readonly log: pino.Logger
  /** What keeps the service from answering; null if nothing does. */
  missing(): string | null
  ended(type: string, code: string, ms: number): void
}

/** Where a standing query is followed, with GET. */
export const EVENTS_PATH = '/v1/subscribe'

/** One way in. */
interface Way {
  readonly method: string
  /** As the gateway has it: a star at the end stands for anything. */
  readonly path: string
  /** As metrics call it. */
  readonly type: string
  /** Whoever may do this may do it. */
  readonly needs: keyof typeof needed
  /** Answers why it went no further, where that was said to the client. */
  answer(asked: Asked): Promise<string>
}

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly principal: Principal
  readonly ports: HttpPorts
  readonly bulks: BulkRoom
  readonly signal: AbortSignal
}

const operation =
  (type: Operation['type'], read: (request: IncomingMessage) => Promise<Operation>): Way['answer'] =>
  async ({ request, response, principal, ports, signal }) => {
    const done = await perform(await read(request), principal, ports, { signal })
    const isAfter = type !== 'publish' && request.headers['x-freshet-after'] !== undefined
    const waited = isAfter ? waitIn(request.headers) : null
    tell(response, 200, done, waited === null ? {} : { 'preference-applied': `wait=${waited}` })
    return 'ok'
  }

const one = {
  path: `${DOCUMENTS_PATH}*`,
  type: 'publish',
  needs: 'publish',
  answer: operation('publish', publishIn),
} as const

export const ways: readonly Way[] = [
  ...Object.entries(operations).map(([path, type]) => {
    const answer = operation(type, (request) => messageIn(type, request))
    return { method: 'POST', path, type, needs: type, answer }
  }),
  {
    method: 'POST',
    path: BULK_PATH,
    type: 'bulk',
    needs: 'publish',
    answer: (asked) => answerBulk(asked, asked.bulks),
  },
  { method: 'PUT', ...one },
  { method: 'DELETE', ...one },
  {
    method: 'GET',
    path: EVENTS_PATH,
    type: 'subscribe',
    needs: 'subscribe',
    async answer({ request, response, principal, ports }) {
      await streamEvents(request, response, principal, ports)
      return 'ok'
    },
  },
]

const isAt = (path: string, way: Way): boolean =>
  way.path.endsWith('*') ? path.startsWith(way.path.slice(0, -1)) : path === way.path

/** The operations of the WebSocket over HTTP: the same fields, one JSON object each way. */
export function answerHttp(ports: HttpPorts): (request: IncomingMessage, response: ServerResponse) => void {
  const bulks = new BulkRoom()
  return (request, response) => void answer(request, response, ports, bulks)
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  ports: HttpPorts,
  bulks: BulkRoom,
): Promise<void> {
  const path = request.url?.split('?')[0] ?? ''
  if (path === '/health') {
    const missing = ports.missing()
    return tell(response, missing === null ? 200 : 503, { status: missing ?? 'serving' })
  }
  const here = ways.filter((each) => isAt(path, each))
  const way = here.find(({ method }) => method === request.method)
  if (way === undefined) return tellNothingHere(response, path, here)
  const left = new AbortController()
  response.once('close', () => left.abort())
  const began = performance.now()
  let code = 'ok'
  try {
    const principal = ports.callers.of(request.headers)
    if (principal === null) throw new OperationError('unauthenticated', 'send a credential')
    if ('status' in principal)
      throw new OperationError(principal.status === 401 ? 'unauthenticated' : 'forbidden', principal.reason)
    code = await way.answer({ request, response, principal, ports, bulks, signal: left.signal })
  } catch (error) {
    const told = asOperationError(error, ports.log)
    code = told.code
    if (left.signal.aborted) return
    // Of one document it need not be said which.
    const cause = way.path === one.path && told.cause instanceof Reject ? reasonOf(told.cause) : told.message
    const { status, headers, body } = problemOf(told)
    tell(response, status, { ...body, detail: cause }, headers)
  } finally {
    ports.ended(way.type, code, performance.now() - began)
  }
}

function tellNothingHere(response: ServerResponse, path: string, here: readonly Way[]): void {
  const all = ways.map(({ method, path }) => `${method} ${path.replace('*', '{id}')}`).join(', ')
  const detail = `there is ${all}; or connect with a WebSocket, subprotocol ${SUBPROTOCOL}`
  const say = (status: number, code: string, headers: Record<string, string> = {}) =>
    tell(response, status, { status, code, detail }, headers)
  if (here.length > 0) return say(405, 'method_not_allowed', { allow: here.map(({ method }) => method).join(', ') })
  if (path === '/' || path === '/v1/ws') return say(426, 'upgrade_required', { upgrade: 'websocket' })
  return say(404, 'not_found')
}
