import type { Entry, Why } from './entry.ts'

/** Standing queries that are to be evaluated: first those that are new or touched, in the order in which they became so. */
export class Due {
  readonly #soon = new Set<Entry>()
  readonly #renewed = new Set<Entry>()

  add(entry: Entry, why: Why): void {
    if (entry.due === null || why === 'touched') entry.due = why
    this.again(entry)
  }

  /** One that was taken out, or kept back, may be evaluated now. */
  again(entry: Entry): void {
    if (entry.due === null) return
    if (entry.due === 'renewed') return void this.#renewed.add(entry)
    this.#renewed.delete(entry)
    this.#soon.add(entry)
  }

  delete(entry: Entry): void {
    this.#soon.delete(entry)
    this.#renewed.delete(entry)
  }

  /**
   * At most so many, which are not due any more. `renews`: also those that only time has made due. What must not be evaluated
   * yet is kept back, and given to `early`; what is being evaluated stays where it is.
   */
  take(max: number, renews: boolean, now: number, early: (entry: Entry, ms: number) => void): Entry[] {
    const taken: Entry[] = []
    for (const queue of renews ? [this.#soon, this.#renewed] : [this.#soon])
      for (const entry of queue) {
        if (taken.length === max) return taken
        if (entry.evaluating !== null) continue
        queue.delete(entry)
        if (entry.notBefore > now) early(entry, entry.notBefore - now)
        else taken.push(entry)
      }
    return taken
  }
}
