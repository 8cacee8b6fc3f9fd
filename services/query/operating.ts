import type pino from 'pino'
import { reasonOf } from '../../streams/errors.ts'
import type { Principal } from '../principal.ts'
import { type Operation, type OperationPorts, perform } from './operations.ts'
import { LIMITS, OperationError, type SubscribeMessage } from './protocol.ts'
import { type SubscribePorts, subscribe } from './standing/subscribing.ts'

export interface OperatingPorts extends OperationPorts, SubscribePorts {
  /** Takes one message of the principal; answers until it may come again, ms, 0 if it may now. */
  take(principal: Principal): number
  readonly log: pino.Logger
  /** Called when an operation ends: its type, `ok` or the error's code, and ms. */
  ended(type: string, code: string, ms: number): void
}

/** What one client asks for, and how it is told. */
export type Started = Operation | SubscribeMessage

export interface Telling {
  send(message: object): Promise<void>
  refuse(id: string | undefined, error: OperationError): void
}

/** The operations of one connection, from the first message to the one that ends each. */
export function operating({ send, refuse }: Telling, ports: OperatingPorts) {
  const live = new Map<string, { readonly type: Started['type']; readonly stop: AbortController }>()
  const underWay = (standing: boolean) =>
    [...live.values()].filter(({ type }) => (type === 'subscribe') === standing).length

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

  return {
    operate,
    /** Some are under way that end by themselves. */
    isBusy: () => underWay(false) > 0,
    cancel: (id: string) => live.get(id)?.stop.abort(),
    stopAll() {
      for (const { stop } of live.values()) stop.abort()
    },
  }
}

export function asOperationError(error: unknown, log: pino.Logger): OperationError {
  if (error instanceof OperationError) return error
  log.error({ reason: reasonOf(error), stack: error instanceof Error ? error.stack : undefined }, 'an operation failed')
  return new OperationError('internal', 'the server failed; its log says why')
}
