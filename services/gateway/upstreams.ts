/**
 * The instances of one role, and which of them is asked next. Pure: no sockets, no clock. Of two that are drawn, the one with
 * less under way is taken (power of two choices), among those that answer their health check and whose breaker lets one through.
 */
export class Upstreams {
  readonly role: string
  readonly #instances: Instance[]

  constructor(role: string, origins: readonly string[]) {
    this.role = role
    this.#instances = origins.map((origin) => ({
      origin,
      // Until its health check has said otherwise, or a service that starts beside us would be refused.
      healthy: true,
      inFlight: 0,
      failures: 0,
      openUntil: 0,
      openings: 0,
      trying: false,
    }))
  }

  get instances(): readonly Readonly<Instance>[] {
    return this.#instances
  }

  /** null when none is fit. `random` is from 0 to below 1; `tried` are left out unless there is no other. */
  pick(now: number, random: () => number, tried: ReadonlySet<string> = new Set()): string | null {
    const fit = this.#instances.filter((each) => each.healthy && isClosed(each, now))
    const fresh = fit.filter(({ origin }) => !tried.has(origin))
    const among = fresh.length > 0 ? fresh : fit
    if (among.length === 0) return null
    const first = Math.floor(random() * among.length)
    const second = (first + 1 + Math.floor(random() * (among.length - 1))) % among.length
    const [a, b] = [among[first]!, among[second]!]
    return (b.inFlight < a.inFlight ? b : a).origin
  }

  began(origin: string, now: number): void {
    const instance = this.#find(origin)
    instance.inFlight++
    // One request is let through when the time is over; the others wait for what becomes of it.
    if (instance.openUntil > 0 && now >= instance.openUntil) instance.trying = true
  }

  /** `failed`: no answer, or one that says that the instance is not well. An answer that blames the caller is none. */
  ended(origin: string, failed: boolean, now: number): void {
    const instance = this.#find(origin)
    instance.inFlight--
    instance.trying = false
    if (!failed) {
      instance.failures = 0
      instance.openUntil = 0
      instance.openings = 0
      return
    }
    if (++instance.failures < FAILURES_MAX && instance.openUntil === 0) return
    instance.openUntil = now + Math.min(OPEN_MS * 2 ** instance.openings++, OPEN_MS_MAX)
  }

  /** What its health check said. */
  checked(origin: string, healthy: boolean): void {
    this.#find(origin).healthy = healthy
  }

  /** Until one may be fit again, ms. */
  retryAfterMs(now: number): number {
    const times = this.#instances.map(({ openUntil }) => Math.max(0, openUntil - now))
    return Math.max(RETRY_MS_MIN, Math.min(...times, OPEN_MS_MAX))
  }

  #find(origin: string): Instance {
    const instance = this.#instances.find((each) => each.origin === origin)
    if (instance === undefined) throw new Error(`${origin} is no instance of ${this.role}`)
    return instance
  }
}

export interface Instance {
  readonly origin: string
  healthy: boolean
  /** Requests and sockets under way. */
  inFlight: number
  /** In a row. */
  failures: number
  /** Nothing is sent there before this; 0: it may be used. */
  openUntil: number
  /** In a row: each opening lasts twice as long as the one before. */
  openings: number
  /** The one request that finds out whether it is well again is under way. */
  trying: boolean
}

const isClosed = ({ openUntil, trying }: Instance, now: number): boolean =>
  openUntil === 0 || (now >= openUntil && !trying)

const FAILURES_MAX = 5
const OPEN_MS = 1_000
const OPEN_MS_MAX = 30_000
const RETRY_MS_MIN = 500
