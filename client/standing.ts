import { applyFitting, changesBetween, type HitChange } from './apply-changes.ts'
import type { AsOf, Message, SearchHit } from './protocol.ts'

/** A standing query as it is now. */
export interface StandingState {
  readonly hits: readonly SearchHit[]
  /** From the state that was read before; all enter in the first one. */
  readonly changes: readonly HitChange<SearchHit>[]
  /** null: nothing was heard yet but that there is trouble. */
  readonly asOf: AsOf | null
  readonly epoch: string
  readonly seq: number
  /** false: the list begins anew, in the first state, in another epoch, and after an interruption that was too long. */
  readonly recovered: boolean
  /** `not_following`: the server cannot ask the index. `reconnecting`: there is no connection. The hits are the last ones known. */
  readonly status: 'following' | 'not_following' | 'reconnecting'
  /** Why it is not following; null: it is. */
  readonly reason: string | null
}

/** What was heard last of a standing query. */
export interface Heard {
  readonly hits: readonly SearchHit[]
  readonly asOf: AsOf
  readonly epoch: string
  readonly seq: number
}

/** What is known after a `snapshot` or a `diff`; null: it does not follow from what was heard, so it must be begun anew. */
export function hear(heard: Heard | null, message: Message): Heard | null {
  const { epoch, seq, hits, ops, asOf, recovered } = message as unknown as Heard & {
    ops: readonly HitChange<SearchHit>[]
    recovered?: boolean
  }
  if (typeof epoch !== 'string' || !Number.isInteger(seq)) return null
  if (message.type === 'snapshot') return areHits(hits) ? { epoch, seq, hits, asOf } : null
  if (heard === null || heard.epoch !== epoch || !areChanges(ops)) return null
  if (recovered === true ? seq < heard.seq : seq <= heard.seq) return null
  const after = applyFitting(heard.hits, ops)
  return after === null ? null : { epoch, seq, hits: after, asOf }
}

const areHits = (hits: unknown): boolean =>
  Array.isArray(hits) && hits.every((hit) => typeof (hit as SearchHit | null)?.hitId === 'string')

function areChanges(ops: unknown): boolean {
  if (!Array.isArray(ops)) return false
  return ops.every((each: Partial<Record<string, unknown>> | null) => {
    if (each?.op === 'leave' || each?.op === 'move') return typeof each.hitId === 'string'
    return (each?.op === 'enter' || each?.op === 'update') && areHits([each.hit])
  })
}

/** Keeps the newest state for whoever reads: who reads slowly gets fewer, never older ones, and nothing piles up. */
export class Latest {
  #heard: Heard | null = null
  #status: Pick<StandingState, 'status' | 'reason'> = { status: 'following', reason: null }
  #read: readonly SearchHit[] = []
  #recovered = true
  #isNew = false
  #end: { readonly error: Error | null } | null = null
  #wake: () => void = () => {}

  get heard(): Heard | null {
    return this.#heard
  }

  set(heard: Heard, recovered: boolean): void {
    this.#heard = heard
    this.#recovered &&= recovered
    this.tell('following', null)
  }

  tell(status: StandingState['status'], reason: string | null): void {
    this.#status = { status, reason }
    this.#isNew = true
    this.#wake()
  }

  /** null: quietly. */
  end(error: Error | null): void {
    this.#end ??= { error }
    this.#wake()
  }

  /** The next state that was not read yet; null when it is over. */
  async next(): Promise<StandingState | null> {
    while (!this.#isNew && this.#end === null)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    if (this.#end?.error === null) return null
    if (this.#isNew) return this.#take()
    throw this.#end!.error
  }

  #take(): StandingState {
    const { hits, asOf, epoch, seq } = this.#heard ?? { hits: [], asOf: null, epoch: '', seq: 0 }
    const changes = changesBetween(this.#read, hits)
    const state = { hits, changes, asOf, epoch, seq, recovered: this.#recovered, ...this.#status }
    this.#read = hits
    this.#recovered = true
    this.#isNew = false
    return state
  }
}
