/** How long somebody waits at most; it ends at once, unheard, when the signal is aborted. */
export type Patience = (signal: AbortSignal) => Promise<void>

/** Whoever goes alone does so one at a time, in the order of asking, and while nobody goes together with others. */
export class Turns {
  /** Somebody goes alone, or waits for those under way to end. */
  #alone = false
  #together = 0
  readonly #nextAlone: (() => void)[] = []
  readonly #waitForEnd = new Set<() => void>()
  readonly #waitForOthers = new Set<() => void>()

  /**
   * Resolves when the caller may go alone, with what ends its turn. Others that are under way are waited for as long as `patience`, since
   * they may wait for what the caller would do.
   */
  async take(patience: Patience): Promise<() => void> {
    if (this.#alone) await new Promise<void>((resolve) => this.#nextAlone.push(resolve))
    this.#alone = true
    if (this.#together > 0) await until(this.#waitForOthers, patience)
    return () => {
      const next = this.#nextAlone.shift()
      // Handed over within this moment, so that nobody comes between.
      if (next !== undefined) return next()
      this.#alone = false
      for (const enter of [...this.#waitForEnd]) enter()
    }
  }

  /** Resolves when the caller may go together with others, with what ends it: at once, unless somebody goes alone. */
  async share(patience: Patience): Promise<() => void> {
    const enter = () => {
      this.#together++
    }
    if (this.#alone) await until(this.#waitForEnd, patience, enter)
    else enter()
    return () => {
      if (--this.#together > 0) return
      for (const begin of [...this.#waitForOthers]) begin()
    }
  }
}

/** Waits to be called by way of `waiting`, or until the patience is over. `reached` is called within that moment. */
function until(waiting: Set<() => void>, patience: Patience, reached = () => {}): Promise<void> {
  const over = new AbortController()
  return new Promise((resolve) => {
    const go = () => {
      if (!waiting.delete(go)) return
      reached()
      over.abort()
      resolve()
    }
    waiting.add(go)
    void patience(over.signal).then(go)
  })
}
