/** Whoever goes alone does so one at a time, in the order of asking, and while nobody goes together with others. */
export class Turns {
  #last: Promise<void> = Promise.resolve()
  #together = 0
  #free = Promise.withResolvers<void>()
  /** Ends when whoever goes alone, or waits for it, is done. */
  #alone: Promise<void> | null = null

  /**
   * Resolves when the caller may go alone, with what ends its turn. Others that are under way are waited for as long as `patience`, since
   * they may wait for what the caller would do.
   */
  async take(patience: () => Promise<void>): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const before = this.#last
    this.#last = promise
    await before
    this.#alone = promise
    if (this.#together > 0) await Promise.race([this.#free.promise, patience()])
    return () => {
      if (this.#alone === promise) this.#alone = null
      resolve()
    }
  }

  /** Resolves when the caller may go together with others: at once, unless somebody goes alone. */
  async share(patience: () => Promise<void>): Promise<() => void> {
    if (this.#alone !== null) await Promise.race([this.#alone, patience()])
    this.#together++
    return () => {
      if (--this.#together > 0) return
      this.#free.resolve()
      this.#free = Promise.withResolvers<void>()
    }
  }
}
