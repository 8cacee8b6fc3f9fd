import type { TopicPartition } from './broker.ts'
import type { Clock } from './clock.ts'
import { type StateName, type States, subjectOf } from './states.ts'

/** Why the next record of a partition does not go on yet. */
export interface Hold {
  readonly state: StateName
  /** One line, with the numbers. */
  readonly reason: string
  readonly retryAfterMs: number
}

/** What a process has of a stage's partitions, 0 to 1: the parts of all processes together are never more than 1. */
export interface Part {
  readonly ofTopic: number
  /** Over all sources of the stage. */
  readonly ofStage: number
}

interface HoldingContext {
  readonly processor: { readonly name: string }
  readonly clock: Clock
  readonly states: States
}

/**
 * A partition that stands still since its next record is not admitted, and is asked again after a while. The state lasts until nothing was
 * held for a moment: a flood that is let through bit by bit is one state and not many.
 */
export class Holding {
  readonly #subject: string
  readonly #context: HoldingContext
  readonly #signal: AbortSignal
  readonly #again: () => void
  #held = false
  #holds = 0
  /** When each state that is present was held for last. */
  readonly #states = new Map<StateName, number>()

  constructor(at: TopicPartition, context: HoldingContext, signal: AbortSignal, again: () => void) {
    this.#subject = subjectOf({ processor: context.processor.name, ...at })
    this.#context = context
    this.#signal = signal
    this.#again = again
  }

  get held(): boolean {
    return this.#held
  }

  hold({ state, reason, retryAfterMs }: Hold): void {
    if (this.#signal.aborted) return
    const { states, clock } = this.#context
    this.#held = true
    this.#states.set(state, clock.now())
    this.#clearCalm()
    states.raise(state, this.#subject, reason)
    void this.#wait(++this.#holds, Math.min(Math.max(retryAfterMs, HOLD_MS_MIN), HOLD_MS_MAX))
  }

  async #wait(hold: number, ms: number): Promise<void> {
    const { clock } = this.#context
    await clock.wait(ms, this.#signal)
    if (this.#signal.aborted) return
    this.#held = false
    this.#again()
    if (this.#holds !== hold) return
    await clock.wait(CALM_MS, this.#signal)
    if (!this.#signal.aborted && this.#holds === hold) this.#clearCalm()
  }

  #clearCalm(): void {
    const { clock, states } = this.#context
    for (const [state, at] of this.#states) {
      if (clock.now() - at < CALM_MS) continue
      this.#states.delete(state)
      states.clear(state, this.#subject)
    }
  }
}

/** What has been saved up meanwhile goes as one batch: a transaction for each record would cost more than the records. */
const HOLD_MS_MIN = 250
/** What is waited for may have been changed by somebody. */
const HOLD_MS_MAX = 1_000
const CALM_MS = 5_000
