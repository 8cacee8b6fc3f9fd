/** Wakes those who wait for something to change. */
export class Changes {
  readonly #waiting = new Set<() => void>()

  /** Something has changed. */
  tell(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  /** Resolves at the next change, or when the signal is aborted. */
  next(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiting.delete(wake)
        signal.removeEventListener('abort', wake)
        resolve()
      }
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
      if (signal.aborted) wake()
    })
  }
}
