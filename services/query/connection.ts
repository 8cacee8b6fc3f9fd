import { randomUUID } from 'node:crypto'
import type pino from 'pino'
import type { RawData, WebSocket } from 'ws'
import { systemClock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { Identity, type IdentityPorts } from './identity.ts'
import { type Operation, type OperationPorts, perform } from './operations.ts'
import { clientMessage, faultsIn, LIMITS, OperationError } from './protocol.ts'
import { type SlowReading, unreadBy } from './unread.ts'

export interface ConnectionPorts extends OperationPorts {
  readonly identify: IdentityPorts['identify']
  /** Takes one message of the principal; answers until it may come again, ms, 0 if it may now. */
  take(principal: Principal): number
  readonly log: pino.Logger
  /** Called when an operation ends: its type, `ok` or the error's code, and ms. */
  ended(type: string, code: string, ms: number): void
  /** Called when a client is cut off that does not read. */
  slow(bound: SlowReading): void
}

export interface Connection {
  readonly principal: Principal | null
  /** Operations are under way. */
  busy(): boolean
  revoke(code: number, reason: string): void
}

/**
 * One client. Every operation ends with exactly one `result`, `done` or `error`; an error ends the operation, never the connection.
 * `principal`: as the gateway found out; null: the client has to say so first.
 */
export function serve(socket: WebSocket, principal: Principal | null, ports: ConnectionPorts): Connection {
  const live = new Map<string, AbortController>()
  let secondAt = 0
  let inSecond = 0
  let missedPings = 0

  const stopAll = (): void => {
    for (const stop of live.values()) stop.abort()
  }
  const unread = unreadBy(socket, systemClock, (bound) => {
    stopAll()
    ports.slow(bound)
    ports.log.warn({ bound, unreadBytes: socket.bufferedAmount }, 'a client that does not read is cut off')
  })
  const identity = new Identity(principal, {
    identify: ports.identify,
    now: Date.now,
    close(code, reason) {
      stopAll()
      socket.close(code, reason)
    },
  })
  const send = (message: object): void => unread.send(JSON.stringify(message))
  const refuse = (id: string | undefined, error: OperationError): void => {
    const { code, message, retryable, retryAfterMs } = error
    send({
      ...(id !== undefined && { id }),
      type: 'error',
      code,
      message,
      retryable,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    })
  }
  const ready = () =>
    send({
      type: 'ready',
      connection: `c_${randomUUID()}`,
      heartbeatMs: HEARTBEAT_MS,
      limits: LIMITS,
      token: ports.freshness.asOf().token,
    })

  const operate = async (message: Operation, by: Principal): Promise<void> => {
    const { id, type } = message
    if (live.has(id))
      return refuse(
        id,
        new OperationError('bad_request', `id: ${JSON.stringify(id)} is in use; give each operation its own`),
      )
    if (live.size >= LIMITS.operationsMax)
      return refuse(
        id,
        new OperationError('rate_limited', `there are ${live.size} operations under way; wait for one to end`, {
          retryAfterMs: 100,
        }),
      )
    const retryAfterMs = ports.take(by)
    if (retryAfterMs > 0)
      return refuse(id, new OperationError('rate_limited', 'too many requests of this key', { retryAfterMs }))
    const stop = new AbortController()
    live.set(id, stop)
    const began = performance.now()
    let code = 'ok'
    try {
      const accepted = (token: string) => send({ id, type: 'accepted', token })
      const { token: _told, ...answer } = (await perform(message, by, ports, { signal: stop.signal, accepted })) as {
        token?: string
      }
      send({ id, type: type === 'search' ? 'result' : 'done', ...answer })
    } catch (error) {
      const told = stop.signal.aborted
        ? new OperationError('cancelled', 'cancelled')
        : asOperationError(error, ports.log)
      code = told.code
      refuse(id, told)
    } finally {
      live.delete(id)
      ports.ended(type, code, performance.now() - began)
    }
  }

  const receive = (data: RawData, isBinary: boolean): void => {
    // One that is cut off may go on asking until it hears of that.
    if (socket.readyState !== socket.OPEN) return
    const now = Date.now()
    if (now - secondAt >= 1_000) {
      secondAt = now
      inSecond = 0
    }
    if (++inSecond > LIMITS.messagesPerSecondMax) return socket.close(1008, 'too many messages')
    if (isBinary) return socket.close(4400, 'messages are JSON text')
    let json: unknown
    try {
      json = JSON.parse(data.toString())
    } catch {
      return socket.close(4400, 'messages are JSON text')
    }
    const parsed = clientMessage.safeParse(json)
    if (!parsed.success) return refuse(idIn(json), new OperationError('bad_request', whatIsWrong(json, parsed.error)))
    const message = parsed.data
    if (message.type === 'ping') return send({ type: 'pong' })
    if (message.type === 'init') return void identity.show(message.token).then((known) => known && ready())
    if (message.type === 'cancel') return live.get(message.id)?.abort()
    const by = identity.principal
    if (by === null) return socket.close(4401, 'send init with a token first')
    void operate(message, by)
  }

  const heartbeat = setInterval(() => {
    if (++missedPings > MISSED_PINGS_MAX) return socket.terminate()
    socket.ping()
  }, HEARTBEAT_MS)
  socket.on('pong', () => {
    missedPings = 0
  })
  socket.on('message', receive)
  socket.on('error', (error) => ports.log.debug({ reason: reasonOf(error) }, 'socket error'))
  socket.on('close', () => {
    clearInterval(heartbeat)
    identity.end()
    unread.end()
    stopAll()
  })
  if (principal !== null) ready()
  return {
    get principal() {
      return identity.principal
    },
    busy: () => live.size > 0,
    revoke: (code, reason) => identity.revoke(code, reason),
  }
}

const HEARTBEAT_MS = 25_000
const MISSED_PINGS_MAX = 2
/** Types of the protocol that this server does not serve. */
const LATER = new Set(['ask', 'subscribe'])

function whatIsWrong(json: unknown, error: Parameters<typeof faultsIn>[0]): string {
  const type = (json as { type?: unknown } | null)?.type
  if (typeof type === 'string' && LATER.has(type)) return `type: ${type} is not served here`
  return faultsIn(error, json)
}

function idIn(json: unknown): string | undefined {
  const id = (json as { id?: unknown } | null)?.id
  return typeof id === 'string' ? id.slice(0, 128) : undefined
}

export function asOperationError(error: unknown, log: pino.Logger): OperationError {
  if (error instanceof OperationError) return error
  log.error({ reason: reasonOf(error), stack: error instanceof Error ? error.stack : undefined }, 'an operation failed')
  return new OperationError('internal', 'the server failed; its log says why')
}
