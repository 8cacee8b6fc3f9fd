import { createHash, randomBytes } from 'node:crypto'
import { type Change, differenceOf } from '../../../search/result-diff.ts'
import { Changes } from '../../../streams/changes.ts'
import type { AsOf, Hit } from '../answers.ts'
import { OperationError } from '../protocol.ts'

/** What a standing query answers now. */
export interface State {
  /** Another one than that which the client has: nothing of what it knows counts any more. */
  readonly epoch: string
  /** Grows by one whenever the hits change. */
  readonly seq: number
  readonly hits: readonly Hit[]
  readonly asOf: AsOf
}

/** Whoever asks is answered by a collection of another space from now on: the query has to be embedded there. */
export class AnsweredElsewhere extends OperationError {
  constructor() {
    super('unavailable', 'another model answers from now on; subscribe again', { retryAfterMs: 0 })
  }
}

/** The answer of one standing query, shared by all who ask the same; whoever evaluates it puts in what it finds. */
export class StandingQuery {
  readonly changes = new Changes()
  readonly #former: Former[] = []
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

  /** What is different now for whoever has seen `seq` of `epoch`; null where that is not known any more. */
  since({ epoch, seq }: Pick<State, 'epoch' | 'seq'>): readonly Change<Hit>[] | null {
    if (epoch !== this.#epoch || this.#state === null) return null
    if (seq === this.#state.seq) return []
    const seen = this.#former.find((each) => each.seq === seq)
    if (seen === undefined) return null
    return differenceOf(seen.marks, this.#state.hits, (mark, hit) => mark.said === markOf(hit).said)
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
        this.#former.push({ seq: before.seq, marks: before.hits.map(markOf) })
        while (this.#former.reduce((sum, { marks }) => sum + marks.length, this.#former.length) > FORMER_MARKS_MAX)
          this.#former.shift()
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

/** A state that a client which comes back may have seen last, without what its hits say. */
interface Former {
  readonly seq: number
  readonly marks: readonly Mark[]
}

interface Mark {
  readonly hitId: string
  readonly score: number
  /** Hash of all that the hit says. */
  readonly said: number
}

/** One for each hit, however many states have it. */
const marks = new WeakMap<Hit, Mark>()

function markOf(hit: Hit): Mark {
  const known = marks.get(hit)
  if (known !== undefined) return known
  const { score, ...said } = hit
  const hash = createHash('sha256').update(JSON.stringify(said)).digest()
  const mark = { hitId: hit.hitId, score, said: hash.readUIntBE(0, 6) }
  marks.set(hit, mark)
  return mark
}

/** Of one standing query, with one for each state: so many states of ten hits are remembered as there are elevens in it. */
const FORMER_MARKS_MAX = 220
