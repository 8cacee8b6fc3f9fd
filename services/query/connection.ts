import { randomUUID } from 'node:crypto'
import type { RawData, WebSocket } from 'ws'
import { reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { Identity, type IdentityPorts } from './identity.ts'
import { shapeFault } from './json-shape.ts'
import { type OperatingPorts, operating } from './operating.ts'
import { clientMessage, faultsIn, LIMITS, OperationError, id as usableId } from './protocol.ts'
import { HEARTBEAT_MS, watchPulse } from './pulse.ts'
import { type SlowReading, unreadBy } from './unread.ts'

export interface ConnectionPorts extends OperatingPorts {
  readonly identify: IdentityPorts['identify']
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
  const { clock } = ports
  const unread = unreadBy(socket, clock, (bound) => {
    operations.stopAll()
    ports.slow(bound)
    ports.log.warn({ bound, unreadBytes: socket.bufferedAmount }, 'a client that does not read is cut off')
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

  const operations = operating({ send, refuse }, ports)
  // May close at once, by a credential that is just over.
  const identity = new Identity(principal, {
    identify: ports.identify,
    clock,
    close(code, reason) {
      operations.stopAll()
      socket.close(code, reason)
    },
  })
  const pulse = watchPulse(socket, clock)

  const receive = (data: RawData, isBinary: boolean): void => {
    // One that is cut off may go on asking until it hears of that.
    if (socket.readyState !== socket.OPEN) return
    if (pulse.tooMany()) return
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
    if (message.type === 'cancel') return operations.cancel(message.id)
    const by = identity.principal
    if (by === null) return socket.close(4401, 'send init with a token first')
    void operations.operate(message, by)
  }

  socket.on('message', receive)
  socket.on('error', (error) => ports.log.debug({ reason: reasonOf(error) }, 'socket error'))
  socket.on('close', () => {
    pulse.end()
    identity.end()
    unread.end()
    operations.stopAll()
  })
  if (principal !== null) ready(principal)
  return {
    get principal() {
      return identity.principal
    },
    busy: operations.isBusy,
    revoke: (code, reason) => identity.revoke(code, reason),
  }
}

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
