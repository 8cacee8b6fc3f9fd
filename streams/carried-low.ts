import type { NewRecord } from './broker.ts'
import type { Clock } from './clock.ts'
import type { Serde } from './serde.ts'
import type { StateName } from './states.ts'
import { lowKey, nameIn, type Scope, type Topic } from './topic.ts'

/** What a stage says of its watermark. */
export interface Told {
  readonly low: number
  /** What holds it back. */
  readonly held: StateName | null
}

/** Progress records of one partition: they carry the watermark on where there is nothing else that could. */
export class CarriedLow {
  #told: Told = { low: -1, held: null }
  #toldAt = 0

  /** The record that is to be sent now, and told as sent; null where there is nothing new, or where records say it soon enough. */
  next({ low, held }: Told, idle: boolean, now: number): Told | null {
    const news = low > this.#told.low || held !== this.#told.held
    return news && (idle || now - this.#toldAt >= EVERY_MS) ? { low, held } : null
  }

  /** Answers what takes it back, if it was not sent. */
  tell(told: Told, now: number): () => void {
    const before = this.#told
    this.#told = told
    this.#toldAt = now
    return () => {
      this.#told = before
    }
  }
}

export function lowRecord(
  { low, held }: Told,
  { topic, partition, epoch }: { topic: Topic; partition: number; epoch: number },
  { scope, serde, clock }: { scope: Scope; serde: Serde; clock: Clock },
): NewRecord {
  return {
    topic: nameIn(scope, topic),
    partition,
    key: lowKey(partition),
    value: serde.encodeLow(topic, low, clock.now()),
    headers: { epoch: String(epoch), ...(held !== null && { state: held }) },
  }
}

const EVERY_MS = 200
