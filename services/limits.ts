/**
 * Token buckets: a holder may spend `burst` at once and `perSecond` for ever. Pure: whoever asks says what time it is.
 * A process counts for itself; several gateways admit several times as much.
 */
export interface Limit {
  readonly perSecond: number
  /** At most this much at once. */
  readonly burst: number
}

export interface Taken {
  /** Whether there was enough; if not, nothing was taken. */
  readonly admitted: boolean
  /** What is left, whole. */
  readonly remaining: number
  /** Until there is enough, ms; 0 if there is. */
  readonly retryAfterMs: number
  /** Until the bucket is full again, ms. */
  readonly fullAfterMs: number
}

interface Bucket {
  /** Below zero where more was spent than there was: see `charge`. */
  level: number
  at: number
}

export class Buckets {
  readonly #buckets = new Map<string, Bucket>()
  readonly #holdersMax: number

  constructor(holdersMax = HOLDERS_MAX) {
    this.#holdersMax = holdersMax
  }

  get size(): number {
    return this.#buckets.size
  }

  /** Takes what is asked for, or nothing. What is larger than the burst is admitted by a full bucket, and paid for afterwards. */
  take(holder: string, cost: number, limit: Limit, now: number): Taken {
    const bucket = this.#of(holder, limit, now)
    const needed = Math.min(cost, limit.burst)
    const admitted = bucket.level >= needed - ROUNDING
    if (admitted) bucket.level -= cost
    return report(bucket, admitted ? 0 : needed, limit, admitted)
  }

  /** What is known only afterwards, such as tokens generated: may lead below zero, which the next one waits for. */
  charge(holder: string, cost: number, limit: Limit, now: number): void {
    this.#of(holder, limit, now).level -= cost
  }

  #of(holder: string, { perSecond, burst }: Limit, now: number): Bucket {
    const known = this.#buckets.get(holder)
    const bucket = known ?? { level: burst, at: now }
    const passed = Math.max(0, now - bucket.at) / 1_000
    bucket.level = Math.min(burst, bucket.level + passed * perSecond)
    bucket.at = Math.max(now, bucket.at)
    // The last one that asked is the last to be forgotten.
    if (known !== undefined) this.#buckets.delete(holder)
    this.#buckets.set(holder, bucket)
    if (this.#buckets.size > this.#holdersMax) this.#buckets.delete(this.#buckets.keys().next().value!)
    return bucket
  }
}

function report({ level }: Bucket, needed: number, { perSecond, burst }: Limit, admitted: boolean): Taken {
  const msFor = (amount: number) =>
    amount <= 0 ? 0 : perSecond > 0 ? Math.ceil((amount / perSecond) * 1_000) : NEVER_MS
  return {
    admitted,
    remaining: Math.max(0, Math.floor(level + ROUNDING)),
    retryAfterMs: admitted ? 0 : Math.max(1, msFor(needed - level)),
    fullAfterMs: msFor(burst - level),
  }
}

/** Holders that are remembered; one that is forgotten begins with a full bucket. */
const HOLDERS_MAX = 100_000
const ROUNDING = 1e-9
/** A limit of nothing. */
const NEVER_MS = 3_600_000
