import { randomBytes } from 'node:crypto'
import { Changes } from '../../../streams/changes.ts'
import type { AsOf, Hit } from '../answers.ts'
import type { OperationError } from '../protocol.ts'

/** What a standing query answers now. */
export interface State {
  /** Another one than that which the client has: nothing of what it knows counts any more. */
  readonly epoch: string
  /** Grows by one whenever the hits change. */
  readonly seq: number
  readonly hits: readonly Hit[]
  readonly asOf: AsOf
}

/** The answer of one standing query, shared by all who ask the same; whoever evaluates it puts in what it finds. */
export class StandingQuery {
  readonly changes = new Changes()
  readonly #former: Pick<State, 'seq' | 'hits'>[] = []
  #epoch = newEpoch()
  #state: State | null = null
  #ended: OperationError | null = null
  #trouble: string | null = null

  /** null before the first evaluation. */
  get state(): State | null {
    return this.#state
  }

  /** Why it has ended; null while it stands. */
  get ended(): OperationError | null {
    return this.#ended
  }

  /** Why it cannot be evaluated; null while it can. */
  get trouble(): string | null {
    return this.#trouble
  }

  /** What whoever has seen `seq` of `epoch` saw; null where that is not known any more. */
  seen({ epoch, seq }: Pick<State, 'epoch' | 'seq'>): Pick<State, 'seq' | 'hits'> | null {
    if (epoch !== this.#epoch || this.#state === null) return null
    return seq === this.#state.seq ? this.#state : (this.#former.find((each) => each.seq === seq) ?? null)
  }

  /** Resolves when there is something that is not `state`, or when the signal is aborted. */
  async other(state: State | null, trouble: string | null, signal: AbortSignal): Promise<void> {
    const isOther = () =>
      this.#ended !== null ||
      this.trouble !== trouble ||
      (this.#state !== null && (this.#state.epoch !== state?.epoch || this.#state.seq !== state.seq))
    while (!isOther() && !signal.aborted) await this.changes.next(signal)
  }

  found(hits: readonly Hit[], asOf: AsOf, isDifferent: boolean): void {
    const before = this.#state
    this.#trouble = null
    if (before !== null && before.epoch === this.#epoch) {
      if (!isDifferent) this.#state = { ...before, asOf }
      else {
        this.#former.push({ seq: before.seq, hits: before.hits })
        if (this.#former.length > FORMER_MAX) this.#former.shift()
        this.#state = { epoch: this.#epoch, seq: before.seq + 1, hits, asOf }
      }
    } else this.#state = { epoch: this.#epoch, seq: (before?.seq ?? 0) + 1, hits, asOf }
    this.changes.tell()
  }

  /** It cannot be evaluated for the time being. */
  troubled(reason: string): void {
    if (this.#trouble !== null) return
    this.#trouble = reason
    this.changes.tell()
  }

  /** The index is another one: what is found next has nothing to do with what was found before. */
  beginAnew(): void {
    this.#epoch = newEpoch()
    this.#former.length = 0
  }

  end(reason: OperationError): void {
    this.#ended = reason
    this.changes.tell()
  }
}

const newEpoch = (): string => `e${randomBytes(6).toString('hex')}`

/** States that a client which comes back may have seen last. They share their hits. */
const FORMER_MAX = 64
