import type { Outcome } from './transport.ts'

/** What was asked of a service, and what it cost. */
export class Counts {
  readonly requests: Record<Outcome, number> = { vectors: 0, busy: 0, down: 0, barred: 0, refused: 0, wrong: 0 }
  texts = 0
  /** As the service counts them, where it says; else as we do. */
  tokens = 0
  retries = 0
  /** Of requests that were answered with vectors. */
  ms = 0
  readonly #pricePerMillionTokens: number | null

  constructor(pricePerMillionTokens: number | null) {
    this.#pricePerMillionTokens = pricePerMillionTokens
  }

  /** null: nobody said what a token costs. */
  get cost(): number | null {
    return this.#pricePerMillionTokens === null ? null : (this.tokens * this.#pricePerMillionTokens) / 1_000_000
  }

  request(outcome: Outcome): void {
    this.requests[outcome] += 1
  }

  retried(): void {
    this.retries += 1
  }

  answered({ texts, tokens, ms }: { texts: number; tokens: number; ms: number }): void {
    this.texts += texts
    this.tokens += tokens
    this.ms += ms
  }
}
