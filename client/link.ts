import { FreshetError } from './error.ts'
import type { Message } from './protocol.ts'
import { type End, noTries, STEADY_MS, whatNext } from './reconnecting.ts'
import { type OpenSocket, openSocket } from './socket.ts'
import type { Surroundings } from './surroundings.ts'
import { expiryOf } from './tokens.ts'
import { deferred, pause, watchSilence } from './waiting.ts'

export interface LinkOptions {
  readonly url: string
  /** Asked before each connection, and before what it gave expires. */
  readonly credential: () => Promise<string | null>
  /** The credential is not always the same. */
  readonly renewable: boolean
  /** For one connection to be made. */
  readonly timeoutMs: number
  readonly reconnect: boolean
}

export interface LinkListener {
  /** What is to be asked can be sent now. */
  up(): void
  message(message: Message): void
  /** Nothing more is to be asked on this connection; `leave` once nothing is under way. */
  leaving(): void
  /** It comes back. What was under way is not answered any more. */
  down(error: FreshetError): void
  /** It does not come back. */
  ended(error: FreshetError): void
}

/** One connection after another. */
export class Link {
  readonly #options: LinkOptions
  readonly #around: Surroundings
  readonly #listener: LinkListener
  readonly #over = new AbortController()
  #socket: OpenSocket | null = null
  #isReady = false
  #backAt: number | null = null
  #wasUp = false
  #running: Promise<void> = Promise.resolve()
  #ready: Message | null = null

  constructor(options: LinkOptions, around: Surroundings, listener: LinkListener) {
    this.#options = options
    this.#around = around
    this.#listener = listener
  }

  /** Something can be asked now. */
  get takes(): boolean {
    return this.#isReady && this.#backAt === null
  }

  /** The server goes away, and this connection with it. */
  get leaves(): boolean {
    return this.#isReady && this.#backAt !== null
  }

  /** What the server said last when it was ready. */
  get ready(): Message | null {
    return this.#ready
  }

  start(): void {
    this.#running = this.#run()
  }

  send(message: object): void {
    this.#socket?.send(message)
  }

  /** This connection is not needed any more; the next one is made when the server wants it. */
  leave(): void {
    this.#socket?.close()
  }

  async close(): Promise<void> {
    if (!this.#over.signal.aborted) {
      this.#over.abort()
      this.#socket?.close()
      this.#listener.ended(new FreshetError('closed', 'the client was closed'))
    }
    // Without one there is nothing to wait for.
    if (this.#socket !== null) await this.#running
  }

  async #run(): Promise<void> {
    const { renewable, reconnect } = this.#options
    let tries = noTries
    for (;;) {
      const end = await this.#serve()
      if (this.#over.signal.aborted) return
      const next = whatNext(end, tries, renewable, this.#around.random)
      if (!reconnect || !this.#wasUp || next === null) {
        this.#over.abort()
        return this.#listener.ended(end.error)
      }
      this.#listener.down(end.error)
      tries = next.tries
      await pause(next.afterMs, this.#over.signal)
      if (this.#over.signal.aborted) return
    }
  }

  /** Resolves when the connection is no more. */
  async #serve(): Promise<End & { readonly error: FreshetError }> {
    const { url, timeoutMs } = this.#options
    const { now } = this.#around
    let credential: string | null
    try {
      credential = await this.#ask()
    } catch (error) {
      return { error: asError(error), wasSteady: false, comeBackMs: null }
    }
    if (this.#over.signal.aborted) return { error: new FreshetError('closed', ''), wasSteady: false, comeBackMs: null }
    let upAt: number | null = null
    let silence: { heard(): void; end(): void } | null = null
    const renewing = new AbortController()
    const { promise, resolve } = deferred<FreshetError>()
    const socket = openOr(resolve, () =>
      openSocket({ url, credential, timeoutMs }, this.#around, {
        message: (message) => {
          silence?.heard()
          if (message.type === 'ready') {
            this.#ready = message
            if (upAt !== null) return
            upAt = now()
            silence = watchSilence(message.heartbeatMs, {
              ask: () => socket?.send({ type: 'ping' }),
              dead: () => socket?.drop(new FreshetError('closed', 'the server is silent', true)),
            })
            if (this.#options.renewable) void this.#renew(credential, renewing.signal)
            this.#isReady = true
            this.#wasUp = true
            this.#listener.up()
          } else if (message.type === 'notice' && message.code === 'going_away') {
            this.#backAt = now() + (typeof message.reconnectAfterMs === 'number' ? message.reconnectAfterMs : 0)
            this.#listener.leaving()
          } else this.#listener.message(message)
        },
        ended: resolve,
      }),
    )
    this.#socket = socket
    const error = await promise
    silence = endOf(silence)
    renewing.abort()
    const comeBackMs = this.#backAt === null ? null : Math.max(0, this.#backAt - now())
    this.#socket = null
    this.#isReady = false
    this.#backAt = null
    return { error, wasSteady: upAt !== null && now() - upAt >= STEADY_MS, comeBackMs }
  }

  /** Whoever gives it has the time of a connection for it. */
  async #ask(): Promise<string | null> {
    const { credential, renewable, timeoutMs } = this.#options
    if (!renewable) return credential()
    const given = new AbortController()
    const late = pause(timeoutMs, given.signal).then(() => {
      throw new FreshetError('unauthenticated', `token() gave nothing within ${timeoutMs} ms`, true)
    })
    try {
      return await Promise.race([credential(), late])
    } finally {
      given.abort()
    }
  }

  /** Shows a fresh credential before the server ends the connection for the old one. */
  async #renew(credential: string | null, signal: AbortSignal): Promise<void> {
    let shown = credential
    for (;;) {
      const expiresAt = shown === null ? null : expiryOf(shown)
      if (expiresAt === null) return
      const leftMs = Math.max(0, expiresAt - this.#around.now())
      await pause(Math.max(RENEW_MS_MIN, leftMs > 2 * RENEW_BEFORE_MS ? leftMs - RENEW_BEFORE_MS : leftMs / 2), signal)
      if (signal.aborted) return
      // Who cannot give one now is asked again until the connection ends by the old one.
      const fresh = await this.#options.credential().catch(() => null)
      if (signal.aborted) return
      if (fresh === null || fresh === shown) continue
      shown = fresh
      this.send({ type: 'init', token: fresh })
    }
  }
}

const RENEW_BEFORE_MS = 30_000
const RENEW_MS_MIN = 250

const endOf = (silence: { end(): void } | null): null => {
  silence?.end()
  return null
}

/** A socket that cannot be made at all is one that ended. */
function openOr(ended: (error: FreshetError) => void, open: () => OpenSocket): OpenSocket | null {
  try {
    return open()
  } catch (error) {
    ended(asError(error))
    return null
  }
}

const asError = (error: unknown): FreshetError =>
  error instanceof FreshetError
    ? error
    : new FreshetError('unauthenticated', `token() failed: ${error instanceof Error ? error.message : error}`, true)
