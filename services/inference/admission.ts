import type { Priority } from '../../engine/pool.ts'

export interface AdmissionBounds {
  /** Texts of one priority that are under way or wait. */
  readonly textsMax: Readonly<Record<Priority, number>>
}

export type Admitted =
  | { readonly admitted: true }
  | { readonly admitted: false; readonly reason: string; readonly retryAfterMs: number }

/**
 * Who is let in before one version of a model: a bounded number of texts of each priority, and nobody who could only be answered after its
 * deadline. What is refused is refused at once, so that what is let in is answered in time. Pure: whoever asks says what time it is.
 */
export class Admission {
  readonly #bounds: AdmissionBounds
  readonly #pending: Record<Priority, number> = { interactive: 0, bulk: 0 }
  /** Texts a ms, of late; null until something was answered. */
  #rate: number | null = null
  #window = { since: 0, texts: 0 }

  constructor(bounds: AdmissionBounds) {
    this.#bounds = bounds
  }

  pending(priority: Priority): number {
    return this.#pending[priority]
  }

  /** What is larger than the bound is let in when nothing else is there. `deadlineMs`: from now; null: it waits. */
  take(texts: number, priority: Priority, deadlineMs: number | null): Admitted {
    const pending = this.#pending[priority]
    const max = this.#bounds.textsMax[priority]
    if (pending > 0 && pending + texts > max) {
      const over = pending + texts - max
      const reason = `${pending} texts wait already, and ${max} may`
      return { admitted: false, reason, retryAfterMs: this.#durationMs(Math.min(over, pending)) }
    }
    // Bulk waits for what is interactive too.
    const ahead = priority === 'bulk' ? pending + this.#pending.interactive : pending
    const waitMs = this.#rate === null ? 0 : ahead / this.#rate
    if (deadlineMs !== null && waitMs > deadlineMs) {
      const reason = `it would wait ${Math.ceil(waitMs)} ms, and its deadline is in ${Math.floor(deadlineMs)} ms`
      return { admitted: false, reason, retryAfterMs: Math.ceil(waitMs - deadlineMs) }
    }
    this.#pending[priority] += texts
    return { admitted: true }
  }

  /** Of those that were let in: all of a request, when it has ended. `answered`: how many were computed. */
  ended(texts: number, priority: Priority, answered: number, now: number): void {
    this.#pending[priority] -= texts
    this.#window.texts += answered
    const ms = now - this.#window.since
    if (ms < WINDOW_MS) return
    // After a pause it is the pause that was measured.
    if (ms < 2 * WINDOW_MS && this.#window.texts > 0) {
      const rate = this.#window.texts / ms
      this.#rate = this.#rate === null ? rate : 0.7 * this.#rate + 0.3 * rate
    }
    this.#window = { since: now, texts: 0 }
  }

  #durationMs(texts: number): number {
    return this.#rate === null ? 1_000 : Math.ceil(texts / this.#rate)
  }
}

const WINDOW_MS = 500
