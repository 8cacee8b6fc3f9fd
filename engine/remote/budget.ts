/** What was spent of a day's tokens. `through` is on record before it is spent, so a crash counts too much, never too little. */
export interface Spent {
  /** UTC: 2026-11-24. */
  readonly day: string
  readonly tokens: number
}

/** Where it is kept over a restart. */
export interface SpentRecord {
  read(): Spent | null
  /** Durable when it returns. */
  write(spent: Spent): void
}

/**
 * The day's tokens. They are put on record ahead in steps of a hundredth of the budget: after a kill -9 at most one step is counted that was
 * not spent. Time is an argument.
 */
export class Budget {
  readonly #tokensMax: number | null
  readonly #record: SpentRecord
  #day = ''
  #spent = 0
  #onRecord = 0

  /** `tokensMax` null: as much as you like. */
  constructor(tokensMax: number | null, record: SpentRecord) {
    this.#tokensMax = tokensMax
    this.#record = record
    const known = tokensMax === null ? null : record.read()
    if (known === null) return
    this.#day = known.day
    this.#spent = known.tokens
    this.#onRecord = known.tokens
  }

  /** ms until so much may be spent: 0, or the time to the next UTC day. A day's first request goes, however large. */
  waitMs(tokens: number, now: number): number {
    if (this.#tokensMax === null) return 0
    this.#turn(now)
    if (this.#spent === 0 || this.#spent + tokens <= this.#tokensMax) return 0
    return DAY_MS - (now % DAY_MS)
  }

  /** Less than nothing gives back. */
  spend(tokens: number, now: number): void {
    if (this.#tokensMax === null) return
    this.#turn(now)
    this.#spent = Math.max(0, this.#spent + tokens)
    if (this.#spent <= this.#onRecord) return
    this.#onRecord = this.#spent + this.#tokensMax / STEPS
    this.#record.write({ day: this.#day, tokens: Math.ceil(this.#onRecord) })
  }

  /** null: there is no budget. */
  left(now: number): number | null {
    if (this.#tokensMax === null) return null
    this.#turn(now)
    return Math.max(0, this.#tokensMax - this.#spent)
  }

  /** What was put on record ahead is taken back. */
  close(): void {
    if (this.#tokensMax !== null && this.#day !== '') this.#record.write({ day: this.#day, tokens: this.#spent })
  }

  #turn(now: number): void {
    const today = dayOf(now)
    // A clock that is set back does not give the day's tokens again.
    if (today <= this.#day) return
    this.#day = today
    this.#spent = 0
    this.#onRecord = 0
  }
}

const dayOf = (now: number): string => new Date(now).toISOString().slice(0, 10)
const DAY_MS = 86_400_000
const STEPS = 100
