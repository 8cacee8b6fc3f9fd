import { type Asked, Buckets, type Limit, type Taken } from './limits.ts'

/**
 * What is admitted before `documents`, of a tenant and of a source: so much for ever, and a little more at once (`AT_ONCE`).
 * Whoever is over one is told which, and when to come back.
 */
export interface Quota {
  readonly documentsPerSecond: number
  readonly bytesPerSecond: number
  readonly embeddedTokensPerMinute: number
}

/** What something costs. */
export interface Cost {
  readonly documents: number
  readonly bytes: number
  readonly embeddedTokens: number
}

export type Measure = keyof Cost

/** A quota as `control` has it: null is the configured one. */
export type OwnQuota = { readonly [field in keyof Quota]: number | null }

/** Who pays: a tenant, a source. `share`: the part of the quota that is this process's. */
export interface Payer {
  readonly name: string
  readonly quota: Quota
  readonly share: number
}

export interface OverQuota {
  readonly payer: Payer
  readonly measure: Measure
  /** Of this process. */
  readonly limit: Limit
  readonly taken: Taken
}

/** In `control`: of a source, by its name without the prefix. */
export const sourceKey = (source: string): string => `sources/${source}`

export const quotaOf = (own: OwnQuota | null | undefined, configured: Quota): Quota => ({
  documentsPerSecond: own?.documentsPerSecond ?? configured.documentsPerSecond,
  bytesPerSecond: own?.bytesPerSecond ?? configured.bytesPerSecond,
  embeddedTokensPerMinute: own?.embeddedTokensPerMinute ?? configured.embeddedTokensPerMinute,
})

export class QuotaBuckets {
  readonly #buckets = new Buckets()

  /** Takes it of all payers, or of none. null: taken; else what is waited for longest. */
  take(payers: readonly Payer[], cost: Cost, now: number): OverQuota | null {
    const asked = payers.flatMap((payer) =>
      measures.map((measure) => ({ payer, measure, ...askedOf(payer, measure, cost) })),
    )
    const taken = this.#buckets.takeAll(asked, now)
    let over: OverQuota | null = null
    for (const [i, { payer, measure, limit }] of asked.entries()) {
      const each = taken[i]!
      if (each.admitted || each.retryAfterMs <= (over?.taken.retryAfterMs ?? 0)) continue
      over = { payer, measure, limit, taken: each }
    }
    return over
  }

  /** Of those who have spent most of what they may at once: what is left, from 1 down to below 0. */
  left(now: number): readonly { readonly name: string; readonly measure: string; readonly share: number }[] {
    return [...this.#buckets.left(now)]
      .sort((a, b) => a.share - b.share)
      .slice(0, TOLD_MAX)
      .map(({ holder, share }) => {
        const [measure = '', ...name] = holder.split(' ')
        return { name: name.join(' '), measure, share }
      })
  }
}

export const limitOf = ({ quota, share }: Payer, measure: Measure): Limit => {
  const perSecond = share * perSecondOf[measure](quota)
  return { perSecond, burst: Math.max(1, perSecond * AT_ONCE[measure]) }
}

/** In words: whose, how much, of what. */
export const overQuota = ({ payer: { name, quota }, measure }: OverQuota): string =>
  `${name} is over its quota of ${inWords(quota)[measure]}`

export const inWords = (quota: Quota): Record<Measure, string> => ({
  documents: `${quota.documentsPerSecond} documents a second`,
  bytes: `${quota.bytesPerSecond} bytes a second`,
  embeddedTokens: `${quota.embeddedTokensPerMinute} embedded tokens a minute`,
})

/** About as many as the model's tokenizer makes of it, without asking it. */
export const tokensIn = (bytes: number): number => Math.ceil(bytes / BYTES_PER_TOKEN)

const askedOf = (payer: Payer, measure: Measure, cost: Cost): Asked => ({
  holder: `${measure} ${payer.name}`,
  cost: cost[measure],
  limit: limitOf(payer, measure),
})

const perSecondOf: Readonly<Record<Measure, (quota: Quota) => number>> = {
  documents: ({ documentsPerSecond }) => documentsPerSecond,
  bytes: ({ bytesPerSecond }) => bytesPerSecond,
  embeddedTokens: ({ embeddedTokensPerMinute }) => embeddedTokensPerMinute / 60,
}

/** Seconds of the quota that may be spent at once. */
const AT_ONCE: Readonly<Record<Measure, number>> = { documents: 2, bytes: 10, embeddedTokens: 10 }
const measures = Object.keys(AT_ONCE) as Measure[]
const BYTES_PER_TOKEN = 4
/** Holders that are told of, so that a thousand tenants are not a thousand metrics. */
const TOLD_MAX = 50
