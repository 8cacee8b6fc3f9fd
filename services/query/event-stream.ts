import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Clock } from '../../streams/clock.ts'
import type { Principal } from '../principal.ts'
import type { HttpPorts } from './http.ts'
import { shapeFault } from './json-shape.ts'
import { asOperationError } from './operating.ts'
import { clientMessage, faultsIn, OperationError, type SubscribeMessage } from './protocol.ts'
import { type StandingMessage, subscribe } from './standing/subscribing.ts'

/**
 * A standing query over HTTP, as server-sent events. The event is the message's type, its id is `epoch:seq`, so that a client which comes
 * back with `Last-Event-ID` goes on where it was. Resolves when it is over.
 */
export async function streamEvents(
  request: IncomingMessage,
  response: ServerResponse,
  principal: Principal,
  ports: HttpPorts,
): Promise<void> {
  const message = subscriptionIn(request)
  const over = new AbortController()
  response.once('close', () => over.abort())
  let begun = false
  const send = async (event: StandingMessage): Promise<void> => {
    if (!begun) response.writeHead(200, HEADERS)
    begun = true
    const id = 'epoch' in event ? `id: ${event.epoch}:${event.seq}\n` : ''
    if (!response.write(`${id}${eventOf(event)}`)) await drained(response, ports.clock, over)
  }
  const beat = setInterval(() => {
    if (begun && !response.writableNeedDrain) response.write(': still here\n\n')
  }, BEAT_MS)
  try {
    await subscribe(message, principal, ports, over.signal, send)
  } catch (error) {
    if (over.signal.aborted) return
    // Before the first event it is an answer like any other.
    if (!begun) throw error
    const { code, message: detail, retryable, retryAfterMs } = asOperationError(error, ports.log)
    response.end(eventOf({ type: 'error', code, message: detail, retryable, retryAfterMs }))
  } finally {
    clearInterval(beat)
  }
}

interface Failure {
  readonly type: 'error'
  readonly code: string
  readonly message: string
  readonly retryable: boolean
  readonly retryAfterMs: number | undefined
}

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-store',
  // Whoever stands between is not to collect events before passing them on.
  'x-accel-buffering': 'no',
}
const BEAT_MS = 15_000
/** A client that takes nothing for this long is cut off. */
const DRAIN_MS_MAX = 10_000

const eventOf = (message: StandingMessage | Failure): string =>
  `event: ${message.type}\ndata: ${JSON.stringify(message)}\n\n`

async function drained(response: ServerResponse, clock: Clock, over: AbortController): Promise<void> {
  const drain = new AbortController()
  const wake = () => drain.abort()
  response.once('drain', wake)
  over.signal.addEventListener('abort', wake)
  await clock.wait(DRAIN_MS_MAX, drain.signal)
  response.off('drain', wake)
  over.signal.removeEventListener('abort', wake)
  if (!drain.signal.aborted) response.destroy()
}

/** The fields of `subscribe` as parameters: what is no text there is JSON here. `like` stands for `query.like`. */
export function subscriptionIn({ url = '', headers }: IncomingMessage): SubscribeMessage {
  if (headers['x-freshet-after'] !== undefined)
    throw new OperationError(
      'bad_request',
      'x-freshet-after: a standing query has no freshness to wait for; leave it out',
    )
  const fields: Record<string, unknown> = {}
  for (const [name, value] of new URL(url, 'http://service').searchParams) {
    if (name in fields) throw new OperationError('bad_request', `${name}: is there more than once`)
    fields[name] = TEXTS.has(name) ? value : parsed(name, value)
  }
  const { like, ...rest } = fields
  if (like !== undefined && rest.query !== undefined)
    throw new OperationError('bad_request', 'like: stands for a query; leave one of the two out')
  const own = Object.keys(rest).find((name) => name === 'type' || name === 'id' || name === 'resume')
  if (own !== undefined) throw new OperationError('bad_request', `${own}: is not a parameter; leave it out`)
  const message = {
    ...rest,
    ...(like !== undefined && { query: { like } }),
    ...resumeIn(headers['last-event-id']),
    type: 'subscribe',
    id: 'http',
  }
  const checked = clientMessage.safeParse(message)
  if (!checked.success) throw new OperationError('bad_request', faultsIn(checked.error, message))
  return checked.data as SubscribeMessage
}

const TEXTS = new Set(['query', 'like', 'mode', 'language', 'groupBy'])

function parsed(name: string, value: string): unknown {
  const fault = shapeFault(value)
  if (fault !== null) throw new OperationError('bad_request', `${name}: ${fault}`)
  try {
    return JSON.parse(value)
  } catch {
    throw new OperationError('bad_request', `${name}: ${JSON.stringify(value.slice(0, 60))} is not JSON`)
  }
}

/** One that is not ours says nothing: the client then gets a snapshot. */
function resumeIn(last: string | string[] | undefined): { resume?: { epoch: string; seq: number } } {
  const [, epoch, seq] = /^([\w]{1,64}):(\d{1,15})$/.exec(String(last ?? '')) ?? []
  return epoch === undefined ? {} : { resume: { epoch, seq: Number(seq) } }
}
