/** Requests or tokens a minute, as a bucket that holds ten seconds' worth. Pure but for what it counts: time is an argument. */
export class Rate {
  readonly #perMs: number
  readonly #burst: number
  #level: number
  #at: number

  /** `perMinute` null: as many as you like. */
  constructor(perMinute: number | null, now: number) {
    this.#perMs = (perMinute ?? Number.POSITIVE_INFINITY) / 60_000
    this.#burst = this.#perMs * BURST_MS
    this.#level = this.#burst
    this.#at = now
  }

  /** ms until so much may be spent. What is larger than the bucket waits for a full one, and is paid for afterwards. */
  waitMs(cost: number, now: number): number {
    this.#fill(now)
    const missing = Math.min(cost, this.#burst) - this.#level
    return missing <= 0 || this.#perMs === Number.POSITIVE_INFINITY ? 0 : Math.ceil(missing / this.#perMs)
  }

  /** Less than nothing gives back. */
  spend(cost: number): void {
    if (this.#perMs !== Number.POSITIVE_INFINITY) this.#level = Math.min(this.#burst, this.#level - cost)
  }

  #fill(now: number): void {
    if (this.#perMs === Number.POSITIVE_INFINITY) return
    this.#level = Math.min(this.#burst, this.#level + Math.max(0, now - this.#at) * this.#perMs)
    this.#at = now
  }
}

const BURST_MS = 10_000
