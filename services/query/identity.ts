import type { Clock } from '../../streams/clock.ts'
import type { Refused } from '../api-keys.ts'
import type { Principal } from '../principal.ts'

export interface IdentityPorts {
  /** Whose token it is; null where tokens mean nothing, since everybody is the configured tenant. */
  readonly identify: ((token: string) => Promise<Principal | Refused>) | null
  readonly clock: Clock
  /** The connection must end. */
  close(code: number, reason: string): void
}

/**
 * Who is at the other end of one connection. The gateway says so in the handshake; a page says so in its first message, and
 * has a moment for it. Whoever is known may show a newer token of the same tenant before the old one expires.
 */
export class Identity {
  readonly #ports: IdentityPorts
  #principal: Principal | null
  #timer = new AbortController()
  #isOver = false

  constructor(principal: Principal | null, ports: IdentityPorts) {
    this.#ports = ports
    this.#principal = principal
    if (principal === null) this.#later(INIT_MS, () => ports.close(4408, 'no init came'))
    else this.#watchExpiry()
  }

  /** null: not known yet, or not any more. */
  get principal(): Principal | null {
    return this.#principal
  }

  /** Resolves with whether the connection is known now; if not, it is being closed. */
  async show(token: string | undefined): Promise<boolean> {
    const { identify, close } = this.#ports
    if (identify === null || token === undefined) {
      if (this.#principal === null) close(4401, 'init needs a token')
      return this.#principal !== null
    }
    const shown = await identify(token)
    if (this.#isOver) return false
    if ('refused' in shown) {
      this.#end(4401, shown.refused)
      return false
    }
    if (this.#principal !== null && this.#principal.tenant !== shown.tenant) {
      this.#end(4403, 'the token is of another tenant')
      return false
    }
    this.#principal = shown
    this.#watchExpiry()
    return true
  }

  /** A credential that is not good any more: nothing more is done for it. */
  revoke(code: number, reason: string): void {
    this.#end(code, reason)
  }

  end(): void {
    this.#isOver = true
    this.#timer.abort()
  }

  #watchExpiry(): void {
    this.#timer.abort()
    const { expiresAt } = this.#principal!
    if (expiresAt === null) return
    const left = expiresAt - this.#ports.clock.now()
    if (left <= 0) return this.#end(4401, 'the credential has expired')
    this.#later(Math.min(left, TIMER_MS_MAX), () => this.#watchExpiry())
  }

  /** Instead of what was to be done later so far. */
  #later(ms: number, act: () => void): void {
    this.#timer.abort()
    const timer = new AbortController()
    this.#timer = timer
    void this.#ports.clock.wait(ms, timer.signal).then(() => timer.signal.aborted || act())
  }

  #end(code: number, reason: string): void {
    this.#principal = null
    this.#timer.abort()
    this.#ports.close(code, reason)
  }
}

const INIT_MS = 10_000
/** Longer ones are no timers to Node. */
const TIMER_MS_MAX = 2_147_483_647
