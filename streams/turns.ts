/** One at a time, in the order of asking. */
export class Turns {
  #last: Promise<void> = Promise.resolve()

  /** Resolves when it is the caller's turn, with what ends it. */
  take(): Promise<() => void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const turn = this.#last.then(() => resolve)
    this.#last = promise
    return turn
  }
}
