/**
 * A circuit breaker. Closed: requests go. After some failures in a row it is open: none goes, so that a service in trouble is left
 * alone and whoever waits hears of it at once. After a while it is half open: one request tries, and its outcome decides. Each time
 * that one fails too it stays open for longer, with full jitter, so that many clients do not come back together. Time is an argument.
 */
export class Breaker {
  readonly #options: BreakerOptions
  #failures = 0
  /** How often it was opened without having been closed between. */
  #openings = 0
  #openUntil: number | null = null
  #trying = false

  constructor(options: BreakerOptions) {
    this.#options = options
  }

  state(now: number): 'closed' | 'open' | 'half-open' {
    if (this.#openUntil === null) return 'closed'
    return now < this.#openUntil ? 'open' : 'half-open'
  }

  /** ms until a request may go; 0: now. While one tries, the others wait for how that ends. */
  waitMs(now: number): number {
    const state = this.state(now)
    if (state === 'open') return this.#openUntil! - now
    return state === 'half-open' && this.#trying ? Number.POSITIVE_INFINITY : 0
  }

  /** A request goes. */
  began(now: number): void {
    if (this.state(now) === 'half-open') this.#trying = true
  }

  succeeded(): void {
    this.#failures = 0
    this.#openings = 0
    this.#openUntil = null
    this.#trying = false
  }

  /** `final`: no other request could fare better, so it need not be seen again. Answers whether it is open now. */
  failed(now: number, final = false): boolean {
    const state = this.state(now)
    // One that began before it was opened says nothing new.
    if (state === 'open') return true
    this.#failures += 1
    this.#trying = false
    if (state === 'closed' && !final && this.#failures < this.#options.failuresMax) return false
    this.#openings += 1
    const { openMsMin, openMsMax, random } = this.#options
    const most = Math.min(openMsMax, openMsMin * 2 ** Math.min(this.#openings, 20))
    this.#openUntil = now + openMsMin + random() * (most - openMsMin)
    return true
  }

  /** The request that tried was ended by us, and says nothing. */
  gaveUp(): void {
    this.#trying = false
  }
}

export interface BreakerOptions {
  /** In a row. */
  readonly failuresMax: number
  readonly openMsMin: number
  readonly openMsMax: number
  readonly random: () => number
}
