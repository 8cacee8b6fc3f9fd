import type { TopicPartition } from './broker.ts'
import type { Clock } from './clock.ts'
import { Fatal, Reject, Retry, reasonOf, StartOver } from './errors.ts'
import type { Observer } from './observer.ts'
import type { Batch, Outcome, Processor } from './processor.ts'
import { type StateName, type States, subjectOf } from './states.ts'

export interface AttemptsContext<Ports> {
  readonly processor: Processor<Ports>
  readonly ports: Ports
  readonly clock: Clock
  readonly observer: Observer
  readonly states: States
}

/** What one task does when the world is not well, or a record is poison. */
export class Attempts<Ports> {
  readonly #at: TopicPartition
  readonly #context: AttemptsContext<Ports>
  readonly #signal: AbortSignal
  /** Records in a row that crashed the processor. */
  #crashes = 0
  /** Of each piece of work that waits, the state that it waits for to end. */
  readonly #waits = new Map<object, StateName>()

  constructor(at: TopicPartition, context: AttemptsContext<Ports>, signal: AbortSignal) {
    this.#at = at
    this.#context = context
    this.#signal = signal
  }

  /** Again and again while the world is not well. */
  async patiently<T>(work: () => Promise<T>): Promise<T> {
    const wait = {}
    try {
      for (let attempt = 1; ; attempt++) {
        try {
          return await work()
        } catch (error) {
          if (!(error instanceof Retry)) throw error
          await this.#backOff(error, attempt, wait)
        }
      }
    } finally {
      this.#over(wait)
    }
  }

  /** The processor's outcomes. A batch that keeps throwing is tried one by one, to find the poison. */
  async process(batch: Batch): Promise<readonly Outcome[]> {
    const wait = {}
    try {
      return await this.#process(batch, wait)
    } finally {
      this.#over(wait)
    }
  }

  async #process(batch: Batch, wait: object): Promise<readonly Outcome[]> {
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
        await this.#backOff(error as Error, attempt, wait)
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

  async #backOff(error: Error, attempt: number, wait: object): Promise<void> {
    this.#signal.throwIfAborted()
    const { processor, observer, clock } = this.#context
    this.#waitsFor(wait, error instanceof Retry && attempt > 1 ? error.state : null, reasonOf(error))
    observer.retried({ processor: processor.name, ...this.#at, attempt, error })
    const base = error instanceof Retry ? error.retryAfterMs : RETRY_DELAY_MS
    await clock.wait(Math.min(base * 2 ** Math.min(attempt - 1, 10), RETRY_DELAY_MS_MAX), this.#signal)
    this.#signal.throwIfAborted()
  }

  /** A first failure is daily life; the second in a row makes a state of what it is a sign of. */
  #waitsFor(wait: object, name: StateName | null, detail: string): void {
    if (this.#waits.get(wait) !== name) this.#over(wait)
    if (name === null) return
    this.#waits.set(wait, name)
    this.#context.states.raise(name, this.#subject, detail)
  }

  /** The state ends when nothing waits for it any more. Whoever takes a partition away ends its states. */
  #over(wait: object): void {
    const name = this.#waits.get(wait)
    this.#waits.delete(wait)
    if (name === undefined || this.#signal.aborted || [...this.#waits.values()].includes(name)) return
    this.#context.states.clear(name, this.#subject)
  }

  get #subject(): string {
    return subjectOf({ processor: this.#context.processor.name, ...this.#at })
  }
}

const RETRY_DELAY_MS = 200
const RETRY_DELAY_MS_MAX = 5_000
const CRASH_ATTEMPTS_MAX = 3
const CRASHES_IN_A_ROW_MAX = 5
