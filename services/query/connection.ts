import { randomUUID } from 'node:crypto'
import type pino from 'pino'
import type { RawData, WebSocket } from 'ws'
import { reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { Identity, type IdentityPorts } from './identity.ts'
import { shapeFault } from './json-shape.ts'
import { type Operation, type OperationPorts, perform } from './operations.ts'
import { clientMessage, faultsIn, LIMITS, OperationError, type SubscribeMessage, id as usableId } from './protocol.ts'
import { type SubscribePorts, subscribe } from './standing/subscribing.ts'
import { type SlowReading, unreadBy } from './unread.ts'

export interface ConnectionPorts extends OperationPorts, SubscribePorts {
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
  /** Operations are under way that end by themselves. */
  busy(): boolean
  revoke(code: number, reason: string): void
}

/**
 * One client. Every operation ends with exactly one `result`, `done` or `error`; an error ends the operation, never the connection.
 * `principal`: as the gateway found out; null: the client has to say so first.
 */
export function serve(socket: WebSocket, principal: Principal | null, ports: ConnectionPorts): Connection {
  const live = new Map<string, { readonly type: Started['type']; readonly stop: AbortController }>()
  const underWay = (standing: boolean) =>
    [...live.values()].filter(({ type }) => (type === 'subscribe') === standing).length
  let secondAt = 0
  let inSecond = 0
  let missedPings = 0
  const { clock } = ports
  const over = new AbortController()

  const stopAll = (): void => {
    for (const { stop } of live.values()) stop.abort()
  }
  const unread = unreadBy(socket, clock, (bound) => {
    stopAll()
    ports.slow(bound)
    ports.log.warn({ bound, unreadBytes: socket.bufferedAmount }, 'a client that does not read is cut off')
  })
  const identity = new Identity(principal, {
    identify: ports.identify,
    clock,
    close(code, reason) {
      stopAll()
      socket.close(code, reason)
    },
  })
  const send = (message: object): Promise<void> => unread.send(JSON.stringify(message))
  const refuse = (id: string | undefined, error: OperationError): void => {
    const { code, message, retryable, retryAfterMs } = error
    void send({
      ...(id !== undefined && { id }),
      type: 'error',
      code,
      message,
      retryable,
      ...(retryAfterMs !== undefined && { retryAfterMs }),
    })
  }
  const ready = (by: Principal) =>
    void send({
      type: 'ready',
      connection: `c_${randomUUID()}`,
      heartbeatMs: HEARTBEAT_MS,
      // What is not there has no limit but this.
      limits: ports.reranker ? LIMITS : { ...LIMITS, rerankedMax: 0 },
      token: ports.freshness.asOf(ports.serving.of(by).collection).token,
    })

  /** Resolves with the answer that ends it; a standing query ends only by rejecting. */
  const run = async (message: Started, by: Principal, signal: AbortSignal): Promise<object> => {
    const { id } = message
    if (message.type === 'subscribe') return subscribe(message, by, ports, signal, (told) => send({ id, ...told }))
    const accepted = (token: string) => void send({ id, type: 'accepted', token })
    const answer = (await perform(message, by, ports, { signal, accepted })) as { token?: string }
    const { token: _told, ...rest } = answer
    return { type: message.type === 'search' ? 'result' : 'done', ...rest }
  }

  const operate = async (message: Started, by: Principal): Promise<void> => {
    const { id, type } = message
    if (live.has(id))
      return refuse(
        id,
        new OperationError('bad_request', `id: ${JSON.stringify(id)} is in use; give each operation its own`),
      )
    const isStanding = type === 'subscribe'
    const count = underWay(isStanding)
    if (count >= (isStanding ? LIMITS.subscriptionsMax : LIMITS.operationsMax))
      return refuse(
        id,
        new OperationError(
          'rate_limited',
          isStanding
            ? `there are ${count} standing queries on this connection; cancel one`
            : `there are ${count} operations under way; wait for one to end`,
          { retryAfterMs: 100 },
        ),
      )
    const retryAfterMs = ports.take(by)
    if (retryAfterMs > 0)
      return refuse(id, new OperationError('rate_limited', 'too many requests of this key', { retryAfterMs }))
    const stop = new AbortController()
    live.set(id, { type, stop })
    const began = performance.now()
    let code = 'ok'
    try {
      const answer = await run(message, by, stop.signal)
      void send({ id, ...answer })
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

  /** Frames of any kind: each costs something. */
  const tooMany = (): boolean => {
    const now = clock.now()
    if (now - secondAt >= 1_000) {
      secondAt = now
      inSecond = 0
    }
    if (++inSecond <= LIMITS.messagesPerSecondMax) return false
    socket.close(1008, 'too many messages')
    return true
  }

  const receive = (data: RawData, isBinary: boolean): void => {
    // One that is cut off may go on asking until it hears of that.
    if (socket.readyState !== socket.OPEN) return
    if (tooMany()) return
    if (isBinary) return socket.close(4400, 'messages are JSON text')
    const text = data.toString()
    const fault = shapeFault(text)
    if (fault !== null) return refuse(undefined, new OperationError('bad_request', `message: ${fault}`))
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {
      return socket.close(4400, 'messages are JSON text')
    }
    const parsed = clientMessage.safeParse(json)
    if (!parsed.success) return refuse(idIn(json), new OperationError('bad_request', whatIsWrong(json, parsed.error)))
    const message = parsed.data
    if (message.type === 'ping') return void send({ type: 'pong' })
    if (message.type === 'init')
      return void identity.show(message.token).then((known) => known && ready(identity.principal!))
    if (message.type === 'cancel') return live.get(message.id)?.stop.abort()
    const by = identity.principal
    if (by === null) return socket.close(4401, 'send init with a token first')
    void operate(message, by)
  }

  const heartbeat = async (): Promise<void> => {
    for (;;) {
      await clock.wait(HEARTBEAT_MS, over.signal)
      if (over.signal.aborted) return
      if (++missedPings > MISSED_PINGS_MAX) return socket.terminate()
      socket.ping()
    }
  }
  void heartbeat()
  socket.on('pong', () => {
    if (!tooMany()) missedPings = 0
  })
  // Whoever asks whether we are there, and does not read, is not answered for ever.
  socket.on('ping', (data: Buffer) => {
    if (socket.readyState === socket.OPEN && !tooMany() && socket.bufferedAmount <= PONG_UNREAD_BYTES_MAX)
      socket.pong(data)
  })
  socket.on('message', receive)
  socket.on('error', (error) => ports.log.debug({ reason: reasonOf(error) }, 'socket error'))
  socket.on('close', () => {
    over.abort()
    identity.end()
    unread.end()
    stopAll()
  })
  if (principal !== null) ready(principal)
  return {
    get principal() {
      return identity.principal
    },
    busy: () => underWay(false) > 0,
    revoke: (code, reason) => identity.revoke(code, reason),
  }
}

type Started = Operation | SubscribeMessage

const HEARTBEAT_MS = 25_000
const MISSED_PINGS_MAX = 2
const PONG_UNREAD_BYTES_MAX = 64 * 1024
/** Types of the protocol that this server does not serve. */
const LATER = new Set(['ask'])

function whatIsWrong(json: unknown, error: Parameters<typeof faultsIn>[0]): string {
  const type = (json as { type?: unknown } | null)?.type
  if (typeof type === 'string' && LATER.has(type)) return `type: ${type} is not served here`
  return faultsIn(error, json)
}

function idIn(json: unknown): string | undefined {
  const id = (json as { id?: unknown } | null)?.id
  return usableId.safeParse(id).data
}

export function asOperationError(error: unknown, log: pino.Logger): OperationError {
  if (error instanceof OperationError) return error
  log.error({ reason: reasonOf(error), stack: error instanceof Error ? error.stack : undefined }, 'an operation failed')
  return new OperationError('internal', 'the server failed; its log says why')
}
