import type { Fetched } from '../broker.ts'
import type { PartitionLog } from './memory-log.ts'

/** A reader's place in one partition. */
export interface Cursor {
  readonly log: PartitionLog
  readonly bytesMax: number
  next: number
  /** The end that the reader was last told; -1 before the first delivery. */
  told: number
  /** False while it is paused, or does not know yet where to start. */
  active(): boolean
  deliver(fetched: Fetched): void
  /** `next` is not in the log any more, or not yet. */
  outOfRange(): void
}

/** Puts work off to a later turn. */
export type Turn = (work: () => void) => void

/** A turn of the event loop. */
export const nextTurn: Turn = (work) => void setImmediate(work)

/**
 * Hands new records to all readers, in turns of the event loop and without timers, so that tests may stop the clock.
 * A simulation gives its own turns, and so decides their order.
 * One fetch for each reader and turn: nobody waits behind another's backlog.
 */
export class Delivery {
  readonly #cursors = new Set<Cursor>()
  readonly #idle = new Set<() => void>()
  readonly #turnLater: Turn
  #scheduled = false
  /** Work that will lead to deliveries and is not a delivery: a rebalance, a partition being started. */
  #pending = 0

  constructor(turn: Turn = nextTurn) {
    this.#turnLater = turn
  }

  add(cursor: Cursor): void {
    this.#cursors.add(cursor)
    this.wake()
  }

  remove(cursor: Cursor): void {
    this.#cursors.delete(cursor)
  }

  wake(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    this.#turnLater(() => this.#turn())
  }

  /** Not idle until the work is over. */
  async during(work: () => Promise<void>): Promise<void> {
    this.#pending++
    try {
      await work()
    } finally {
      this.#pending--
      this.wake()
    }
  }

  idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#idle.add(resolve)
      this.wake()
    })
  }

  #turn(): void {
    this.#scheduled = false
    let delivered = false
    for (const cursor of [...this.#cursors]) if (this.#deliver(cursor)) delivered = true
    if (delivered) return this.wake()
    if (this.#pending > 0) return
    for (const resolve of this.#idle) resolve()
    this.#idle.clear()
  }

  #deliver(cursor: Cursor): boolean {
    if (!this.#cursors.has(cursor) || !cursor.active() || cursor.log.deleted) return false
    if (cursor.next < cursor.log.start || cursor.next > cursor.log.end) {
      cursor.outOfRange()
      return true
    }
    const fetched = cursor.log.read(cursor.next, cursor.bytesMax)
    if (fetched.next <= cursor.next && fetched.end === cursor.told) return false
    cursor.next = fetched.next
    cursor.told = fetched.end
    cursor.deliver(fetched)
    return true
  }
}
