import type { Fetched, StoredRecord } from './broker.ts'
import { StartOver } from './errors.ts'

/**
 * What a task knows of its partition: pure state, no clock, no I/O; `task.ts` is the loop that acts on it.
 *
 * Invariants: records of one key are under way in one batch at a time, in the order of the log; `low` passes an offset only
 * when everything up to it is finished; nothing is taken twice.
 */
export class TaskState {
  /** The next offset that is expected from the broker. */
  next: number
  #low: number
  #lowAt = 0
  readonly #waiting: StoredRecord[] = []
  readonly #busyKeys = new Map<string, number>()
  /** Offsets received and not finished, ascending. */
  readonly #open: { readonly offset: number; readonly timestamp: number }[] = []
  readonly #finished = new Set<number>()
  #bytes = 0

  constructor(start: number) {
    this.next = start
    this.#low = start - 1
  }

  /** Everything up to this offset, inclusive, is finished or holds no record. */
  get low(): number {
    return this.#low
  }

  /** When the last record that `low` has passed was written, ms since 1970; 0 before the first. */
  get lowAt(): number {
    return this.#lowAt
  }

  /** Bytes received and not finished. */
  get bytes(): number {
    return this.#bytes
  }

  get waiting(): number {
    return this.#waiting.length
  }

  get idle(): boolean {
    return this.#open.length === 0
  }

  /**
   * Offsets below the expected one were seen before (a repeated fetch) and are dropped; within a fetch, what lies between
   * holds no record. Throws `StartOver` for a fetch that begins above the expected offset: what lies before it was never seen.
   */
  receive({ records, from, next }: Fetched): void {
    if (from > this.next) throw new StartOver(`the broker went on at ${from}, and ${this.next} was expected`)
    for (const record of records) {
      if (record.offset < this.next) continue
      this.next = record.offset + 1
      this.#waiting.push(record)
      this.#open.push({ offset: record.offset, timestamp: record.timestamp })
      this.#bytes += sizeOf(record)
    }
    this.next = Math.max(this.next, next)
    this.#advance()
  }

  /**
   * The next batch within the bounds, or null. A record whose key is under way waits, and so do later ones of that key. `admit` is asked of
   * each record that would be taken; the first that is refused ends the batch, and is asked about again.
   */
  take(
    { recordsMax, bytesMax }: { recordsMax: number; bytesMax: number },
    admit: (record: StoredRecord) => boolean = () => true,
  ): Taken | null {
    const records: StoredRecord[] = []
    const held = new Set<string>()
    let bytes = 0
    let kept = 0
    let i = 0
    for (; i < this.#waiting.length && records.length < recordsMax; i++) {
      const record = this.#waiting[i]!
      const key = keyOf(record)
      const size = sizeOf(record)
      if (this.#busyKeys.has(key) || held.has(key)) {
        held.add(key)
        this.#waiting[kept++] = record
        continue
      }
      if (records.length > 0 && bytes + size > bytesMax) break
      if (!admit(record)) break
      records.push(record)
      bytes += size
    }
    if (records.length === 0) return null
    this.#waiting.splice(kept, i - kept)
    for (const record of records) {
      const key = keyOf(record)
      this.#busyKeys.set(key, (this.#busyKeys.get(key) ?? 0) + 1)
    }
    const through = this.#waiting.length === 0 ? this.next - 1 : this.#waiting[0]!.offset - 1
    return { records, through }
  }

  /** The outcome of these records is acknowledged. */
  finish(records: readonly StoredRecord[]): void {
    for (const record of records) {
      const key = keyOf(record)
      const count = this.#busyKeys.get(key)! - 1
      if (count === 0) this.#busyKeys.delete(key)
      else this.#busyKeys.set(key, count)
      this.#finished.add(record.offset)
      this.#bytes -= sizeOf(record)
    }
    this.#advance()
  }

  #advance(): void {
    let done = 0
    while (done < this.#open.length && this.#finished.delete(this.#open[done]!.offset)) done++
    if (done > 0) this.#lowAt = Math.max(this.#lowAt, this.#open[done - 1]!.timestamp)
    if (done > 0) this.#open.splice(0, done)
    this.#low = this.#open.length === 0 ? this.next - 1 : this.#open[0]!.offset - 1
  }
}

export interface Taken {
  readonly records: readonly StoredRecord[]
  /** With one lane: every offset up to this, inclusive, is finished once these are. */
  readonly through: number
}

const keyOf = (record: StoredRecord): string => (record.key === null ? '' : record.key.toString('latin1'))

export function sizeOf(record: StoredRecord): number {
  let bytes = RECORD_OVERHEAD_BYTES + (record.key?.length ?? 0) + (record.value?.length ?? 0)
  for (const name in record.headers) bytes += name.length + record.headers[name]!.length
  return bytes
}

/** What an empty record costs in memory, so that a flood of tombstones is bounded too. */
const RECORD_OVERHEAD_BYTES = 64
