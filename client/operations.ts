import { errorIn, FreshetError, unreachable } from './error.ts'
import type { Message } from './protocol.ts'

/** What is asked of the link. */
export interface Way {
  readonly takes: boolean
  readonly ready: Message | null
  send(message: object): void
}

export interface OperationPorts {
  readonly url: string
  readonly nextId: () => string
  readonly now: () => number
  /** How long an operation waits without a connection. */
  readonly offlineMsMax: number
}

export interface Asking {
  readonly signal?: AbortSignal | undefined
  /** A publish was accepted. */
  readonly accepted?: (token: string) => void
}

interface Operation {
  id: string
  message: { readonly type: string; readonly [field: string]: unknown }
  readonly askedAt: number
  sent: boolean
  repeats: number
  /** Of a publish: what stands for it. */
  token: string | undefined
  offline: ReturnType<typeof setTimeout> | undefined
  readonly asking: Asking
  readonly settle: (answer: Message | null, error?: unknown) => void
}

/** Questions with one answer each. What the connection took with it is asked again on the next one, where that does no harm. */
export class Operations {
  readonly #ports: OperationPorts
  readonly #way: Way
  readonly #open = new Map<string, Operation>()
  #ended: FreshetError | null = null

  constructor(way: Way, ports: OperationPorts) {
    this.#way = way
    this.#ports = ports
  }

  /** Some are sent and not answered. */
  get busy(): boolean {
    return [...this.#open.values()].some(({ sent }) => sent)
  }

  ask(message: Operation['message'], asking: Asking = {}): Promise<Message> {
    return new Promise((resolve, reject) => {
      const { signal } = asking
      const refusal = signal?.aborted ? signal.reason : (this.#ended ?? this.#refusal(message))
      if (refusal !== null) return reject(refusal)
      const { nextId, now } = this.#ports
      const aborted = (): void => {
        if (operation.sent && this.#way.takes) this.#way.send({ type: 'cancel', id: operation.id })
        operation.settle(null, signal?.reason)
      }
      const operation: Operation = {
        id: nextId(),
        message,
        askedAt: now(),
        sent: false,
        repeats: 0,
        token: undefined,
        offline: undefined,
        asking,
        settle: (answer, error) => {
          signal?.removeEventListener('abort', aborted)
          clearTimeout(operation.offline)
          this.#open.delete(operation.id)
          if (answer === null) reject(error)
          else resolve(answer)
        },
      }
      signal?.addEventListener('abort', aborted, { once: true })
      this.#open.set(operation.id, operation)
      this.#sendOrWait(operation)
    })
  }

  /** Whether the message was about one of these. */
  take(message: Message): boolean {
    const operation = message.id === undefined ? undefined : this.#open.get(message.id)
    if (operation === undefined) return false
    if (message.type === 'accepted') {
      operation.token = String(message.token)
      operation.asking.accepted?.(operation.token)
    } else if (message.type === 'error') operation.settle(null, errorIn(message, operation.token))
    else if (message.type === 'result' || message.type === 'done')
      operation.settle({ ...message, ...(operation.token !== undefined && { token: operation.token }) })
    return true
  }

  up(): void {
    for (const operation of [...this.#open.values()]) if (!operation.sent) this.#sendOrWait(operation)
  }

  down(error: FreshetError): void {
    for (const operation of [...this.#open.values()]) {
      if (!operation.sent) continue
      if (operation.message.type === 'publish') {
        if (operation.token === undefined) {
          operation.settle(null, unconfirmed(error))
          continue
        }
        // It is written: what became of it is all that is still asked.
        operation.message = {
          type: 'wait',
          after: operation.token,
          timeoutMs: operation.message.timeoutMs ?? PUBLISH_MS,
        }
      }
      operation.sent = false
      // One that ends each connection is not to go on doing so.
      if (++operation.repeats > REPEATS_MAX) operation.settle(null, error)
      else this.#sendOrWait(operation)
    }
  }

  ended(error: FreshetError): void {
    this.#ended = error
    for (const operation of [...this.#open.values()]) {
      const isUnknown = operation.message.type === 'publish' && operation.sent && operation.token === undefined
      operation.settle(null, isUnknown ? unconfirmed(error) : error)
    }
  }

  #sendOrWait(operation: Operation): void {
    if (this.#way.takes) {
      clearTimeout(operation.offline)
      operation.offline = undefined
      operation.sent = true
      // Answers to what was asked before are not for it.
      this.#open.delete(operation.id)
      operation.id = operation.repeats === 0 ? operation.id : this.#ports.nextId()
      this.#open.set(operation.id, operation)
      this.#way.send({ id: operation.id, ...inTimeLeft(operation.message, this.#ports.now() - operation.askedAt) })
    } else
      operation.offline ??= setTimeout(
        () => operation.settle(null, unreachable(this.#ports.url)),
        this.#ports.offlineMsMax,
      )
  }

  /** What the server would refuse, or close the connection for. */
  #refusal(message: object): FreshetError | null {
    const { operationsMax, messageBytesMax } = (this.#way.ready?.limits ?? {}) as Readonly<Record<string, unknown>>
    if (!this.#way.takes && typeof operationsMax === 'number' && this.#open.size >= operationsMax)
      return new FreshetError('rate_limited', `${this.#open.size} operations wait for the connection`, true, WAIT_MS)
    if (typeof messageBytesMax !== 'number') return null
    const bytes = new TextEncoder().encode(JSON.stringify(message)).length + ID_BYTES_MAX
    if (bytes <= messageBytesMax) return null
    return new FreshetError(
      'bad_request',
      `the message has ${bytes} bytes, and ${messageBytesMax} may be sent; send less at once`,
    )
  }
}

const REPEATS_MAX = 8
const WAIT_MS = 1_000
const PUBLISH_MS = 30_000
const ID_BYTES_MAX = 32

const unconfirmed = ({ message }: FreshetError): FreshetError =>
  new FreshetError(
    'unconfirmed',
    `${message}; it is not known whether the documents were written: publish them again, unless others may have changed them since`,
    true,
  )

/** The caller's time goes on while there is no connection. */
function inTimeLeft(message: Operation['message'], goneMs: number): object {
  const left = (timeoutMs: unknown) =>
    typeof timeoutMs === 'number' ? Math.max(0, Math.ceil(timeoutMs - goneMs)) : timeoutMs
  if (message.type === 'wait') return { ...message, timeoutMs: left(message.timeoutMs) }
  const { freshness } = message as { freshness?: { timeoutMs?: number } | string }
  if (message.type !== 'search' || typeof freshness !== 'object' || freshness.timeoutMs === undefined) return message
  return { ...message, freshness: { ...freshness, timeoutMs: left(freshness.timeoutMs) } }
}
