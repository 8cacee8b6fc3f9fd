import { applyFitting, type HitChange } from '../../client/apply-changes.ts'
import type { SearchHit } from '../../client/client.ts'

/** What a client of a standing query is told. */
export interface Told {
  readonly type: string
  readonly epoch: string
  readonly seq: number
  readonly hits?: readonly SearchHit[]
  readonly ops?: readonly HitChange<SearchHit>[]
  readonly asOf: { readonly token: string }
  readonly recovered?: boolean
}

/** One who follows a standing query over many connections, and notes whatever the protocol does not allow. */
export class StandingFollower {
  hits: readonly SearchHit[] = []
  at: { readonly epoch: string; readonly seq: number } | null = null
  readonly faults: string[] = []
  readonly counts = { snapshots: 0, diffs: 0, recovered: 0, begunAnew: 0 }
  #isFirst = true

  /** A new connection asks to go on at `at`. `elsewhere`: at a process that cannot know it. */
  connected({ elsewhere }: { readonly elsewhere: boolean }): void {
    this.#isFirst = true
    this.#elsewhere = elsewhere
  }

  #elsewhere = false

  /** Answers whether the hits are others now. */
  take(told: Told): boolean {
    const { type, epoch, seq } = told
    const [isFirst, before] = [this.#isFirst, this.at]
    if (type !== 'snapshot' && type !== 'diff') return false
    this.#isFirst = false
    this.at = { epoch, seq }
    const fault = (what: string) =>
      this.faults.push(`${type} ${epoch}/${seq} after ${before?.epoch}/${before?.seq}: ${what}`)
    if (type === 'snapshot') {
      this.counts.snapshots++
      if (isFirst && before !== null) this.counts.begunAnew++
      if (told.recovered !== false) fault('a snapshot does not say that nothing was recovered')
      if (!isFirst && epoch === before?.epoch) fault('a snapshot of the same epoch, without a reason')
      this.hits = told.hits!
      return true
    }
    this.counts.diffs++
    if (told.recovered) this.counts.recovered++
    if (before === null || epoch !== before.epoch) fault('of an epoch that the client does not know')
    else if (told.recovered ? seq < before.seq : seq <= before.seq) fault('goes back')
    else if (isFirst && told.recovered !== true) fault('a gap: it does not say that it goes on from there')
    else if (!isFirst && told.recovered) fault('goes on in the midst of a connection')
    else if (isFirst && this.#elsewhere) fault('goes on from what this process cannot know')
    const after = applyFitting(this.hits, told.ops!)
    if (after === null) fault('is the difference from another list than the client has')
    else this.hits = after
    return true
  }
}
