import type { TopicPartition } from './broker.ts'
import type { Clock } from './clock.ts'
import { Fatal, Reject, Retry, reasonOf, StartOver } from './errors.ts'
import type { Observer } from './observer.ts'
import type { Batch, Outcome, Processor } from './processor.ts'

export interface AttemptsContext<Ports> {
  readonly processor: Processor<Ports>
  readonly ports: Ports
  readonly clock: Clock
  readonly observer: Observer
}

/** What one task does when the world is not well, or a record is poison. */
export class Attempts<Ports> {
  readonly #at: TopicPartition
  readonly #context: AttemptsContext<Ports>
  readonly #signal: AbortSignal
  /** Records in a row that crashed the processor. */
  #crashes = 0

  constructor(at: TopicPartition, context: AttemptsContext<Ports>, signal: AbortSignal) {
    this.#at = at
    this.#context = context
    this.#signal = signal
  }

  /** Again and again while the world is not well. */
  async patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof Retry)) throw error
        await this.#backOff(error, attempt)
      }
    }
  }

  /** The processor's outcomes. A batch that keeps throwing is tried one by one, to find the poison. */
  async process(batch: Batch): Promise<readonly Outcome[]> {
    const { processor, ports } = this.#context
    for (let attempt = 1; ; attempt++) {
      this.#signal.throwIfAborted()
      try {
        const outcomes = await processor.process(batch, ports)
        if (outcomes.length !== batch.records.length) {
          throw new Fatal(`${processor.name} gave ${outcomes.length} outcomes for ${batch.records.length} records`)
        }
        this.#crashes = 0
        return outcomes
      } catch (error) {
        if (this.#signal.aborted || error instanceof StartOver || error instanceof Fatal) throw error
        const crash = !(error instanceof Retry)
        if (error instanceof Reject || (crash && attempt >= CRASH_ATTEMPTS_MAX)) {
          if (batch.records.length > 1) return this.#oneByOne(batch)
          if (batch.records.length === 1) return [this.#poison(error)]
          throw error
        }
        await this.#backOff(error as Error, attempt)
      }
    }
  }

  async #oneByOne(batch: Batch): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const [i, record] of batch.records.entries()) {
      const next = batch.records[i + 1]
      // What the whole batch promises holds only when its last record is handled.
      const promise = next === undefined ? {} : { through: next.at.offset - 1, low: -1 }
      outcomes.push(...(await this.process({ ...batch, records: [record], ...promise })))
    }
    return outcomes
  }

  /** When everything crashes, it is not the records. */
  #poison(error: unknown): Outcome {
    if (error instanceof Reject) return { reject: reasonOf(error) }
    const { name } = this.#context.processor
    if (++this.#crashes > CRASHES_IN_A_ROW_MAX) {
      throw new Fatal(`${name} failed on ${this.#crashes} records in a row: the fault is not in the records`, {
        cause: error,
      })
    }
    return { reject: `${name} failed on this record ${CRASH_ATTEMPTS_MAX} times: ${reasonOf(error)}`, class: 'crash' }
  }

  async #backOff(error: Error, attempt: number): Promise<void> {
    this.#signal.throwIfAborted()
    const { processor, observer, clock } = this.#context
    observer.retried({ processor: processor.name, ...this.#at, attempt, error })
    const base = error instanceof Retry ? error.retryAfterMs : RETRY_DELAY_MS
    await clock.wait(Math.min(base * 2 ** Math.min(attempt - 1, 10), RETRY_DELAY_MS_MAX), this.#signal)
    this.#signal.throwIfAborted()
  }
}

const RETRY_DELAY_MS = 200
const RETRY_DELAY_MS_MAX = 5_000
const CRASH_ATTEMPTS_MAX = 3
const CRASHES_IN_A_ROW_MAX = 5
