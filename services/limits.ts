/**
 * Token buckets: a holder may spend `burst` at once and `perSecond` for ever. Pure: whoever asks says what time it is.
 * A process counts for itself: of several instances each is given its part of a limit.
 */
export interface Limit {
  readonly perSecond: number
  /** At most this much at once. */
  readonly burst: number
}

export interface Taken {
  /** Whether there was enough; if not, nothing was taken. Of several asked together: whether this one had enough. */
  readonly admitted: boolean
  /** What is left, whole. */
  readonly remaining: number
  /** Until there is enough, ms; 0 if there is. */
  readonly retryAfterMs: number
  /** Until the bucket is full again, ms. */
  readonly fullAfterMs: number
}

export interface Asked {
  readonly holder: string
  readonly cost: number
  readonly limit: Limit
}

interface Bucket {
  /** Below zero where more was spent than there was: see `charge`. */
  level: number
  at: number
  /** As it was asked for last. */
  limit: Limit
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

  /** Takes all, or nothing: what one of them refuses costs the others nothing. Who is asked for nothing is not asked. */
  takeAll(asked: readonly Asked[], now: number): readonly Taken[] {
    const some = asked.filter(({ cost }) => cost > 0)
    const buckets = some.map(({ holder, limit }) => this.#of(holder, limit, now))
    const enough = some.map(({ cost, limit }, i) => buckets[i]!.level >= Math.min(cost, limit.burst) - ROUNDING)
    const admitted = enough.every(Boolean)
    if (admitted) for (const [i, { cost }] of some.entries()) buckets[i]!.level -= cost
    const taken = new Map(
      some.map((each, i) => {
        const needed = enough[i] ? 0 : Math.min(each.cost, each.limit.burst)
        return [each, report(buckets[i]!, needed, each.limit, enough[i]!)]
      }),
    )
    return asked.map((each) => taken.get(each) ?? NOTHING_ASKED)
  }

  /** Of everyone who has not all that there may be at once: what is left of it, from 1 down to below 0. */
  *left(now: number): Iterable<{ readonly holder: string; readonly share: number }> {
    for (const [holder, { level, at, limit }] of this.#buckets) {
      const share = Math.min(1, (level + (Math.max(0, now - at) / 1_000) * limit.perSecond) / limit.burst)
      if (share < 1) yield { holder, share }
    }
  }

  /** What is known only afterwards, such as tokens generated: may lead below zero, which the next one waits for. */
  charge(holder: string, cost: number, limit: Limit, now: number): void {
    this.#of(holder, limit, now).level -= cost
  }

  #of(holder: string, limit: Limit, now: number): Bucket {
    const { perSecond, burst } = limit
    const known = this.#buckets.get(holder)
    const bucket = known ?? { level: burst, at: now, limit }
    bucket.limit = limit
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

/** As draft-ietf-httpapi-ratelimit-headers has them: `q` in each window of `w` seconds, `r` left, more in `t` seconds. */
export function rateHeaders(name: string, { perSecond, burst }: Limit, taken: Taken): Record<string, string> {
  const seconds = Math.max(1, Math.round(burst / perSecond))
  const again = Math.ceil((taken.admitted ? taken.fullAfterMs : taken.retryAfterMs) / 1_000)
  return {
    'ratelimit-policy': `"${name}";q=${Math.round(perSecond * seconds)};w=${seconds}`,
    ratelimit: `"${name}";r=${taken.remaining};t=${again}`,
  }
}

const NOTHING_ASKED: Taken = { admitted: true, remaining: 0, retryAfterMs: 0, fullAfterMs: 0 }
/** Holders that are remembered; one that is forgotten begins with a full bucket. */
const HOLDERS_MAX = 100_000
const ROUNDING = 1e-9
/** A limit of nothing. */
const NEVER_MS = 3_600_000
