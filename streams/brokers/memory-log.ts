import type { Fetched, Headers, NewRecord, StoredRecord } from '../broker.ts'

/** A transaction as the partitions see it: its records stay invisible, and hold back what lies behind them, until it ends. */
export interface Transaction {
  readonly id: string
  readonly epoch: number
  /** ms since 1970; the broker aborts it from then on. */
  readonly expiresAt: number
  readonly logs: Set<PartitionLog>
}

/** One partition as Kafka keeps it: offsets only grow, and an offset may hold no record (a marker, or compacted away). */
export class PartitionLog {
  readonly topic: string
  readonly partition: number
  /** First offset still in the log. */
  start = 0
  /** The offset that the next record will get. */
  end = 0
  deleted = false
  #records: StoredRecord[] = []
  /** First offset of each open transaction, and the offsets of its records. */
  readonly #open = new Map<Transaction, { first: number; offsets: Set<number> }>()

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  append({ key, value, headers = {} }: NewRecord, timestamp: number, transaction?: Transaction): number {
    const offset = this.end++
    this.#records.push({
      topic: this.topic,
      partition: this.partition,
      offset,
      timestamp,
      key: key === null ? null : Buffer.from(key, 'utf8'),
      value: value === null ? null : Buffer.from(value),
      headers: Object.fromEntries(Object.entries(headers).map(([name, text]) => [name, Buffer.from(text)])) as Headers,
    })
    if (transaction !== undefined) {
      transaction.logs.add(this)
      const open = this.#open.get(transaction) ?? { first: offset, offsets: new Set() }
      open.offsets.add(offset)
      this.#open.set(transaction, open)
    }
    return offset
  }

  /** Ends a transaction: its records become visible or are dropped, and a marker takes one offset. */
  endTransaction(transaction: Transaction, outcome: 'commit' | 'abort'): void {
    const open = this.#open.get(transaction)
    if (open === undefined) return
    this.#open.delete(transaction)
    if (outcome === 'abort') this.#records = this.#records.filter(({ offset }) => !open.offsets.has(offset))
    this.end++
  }

  /** Where a reader of committed records must stop: the first offset of the oldest open transaction. */
  get lastStable(): number {
    let lastStable = this.end
    for (const { first } of this.#open.values()) lastStable = Math.min(lastStable, first)
    return lastStable
  }

  /** Committed records from an offset on: at least one if there is one, however large. */
  read(from: number, bytesMax: number): Fetched {
    const { lastStable } = this
    const records: StoredRecord[] = []
    let bytes = 0
    let next = Math.max(from, lastStable)
    for (let i = this.#indexOf(from); i < this.#records.length; i++) {
      const record = this.#records[i]!
      if (record.offset >= lastStable) break
      bytes += sizeOf(record)
      if (records.length > 0 && bytes > bytesMax) {
        next = records.at(-1)!.offset + 1
        break
      }
      records.push(record)
    }
    return { topic: this.topic, partition: this.partition, records, from, next, end: this.end }
  }

  committed(): StoredRecord[] {
    const { lastStable } = this
    return this.#records.filter(({ offset }) => offset < lastStable)
  }

  /** Keeps the latest record of each key, as the log cleaner does with what is committed. */
  compact(tombstones: 'keep' | 'drop', before = this.end): void {
    const end = Math.min(before, this.lastStable)
    const latest = new Map<string, number>()
    for (const { key, offset } of this.#records)
      if (key !== null && offset < end) latest.set(key.toString('latin1'), offset)
    this.#records = this.#records.filter(({ key, value, offset }) => {
      if (key === null || offset >= end) return true
      return latest.get(key.toString('latin1')) === offset && (value !== null || tombstones === 'keep')
    })
  }

  /** Drops what lies before an offset, as retention does. */
  truncate(before: number): void {
    this.start = Math.max(this.start, Math.min(before, this.lastStable))
    this.#records = this.#records.filter(({ offset }) => offset >= this.start)
  }

  /** Index of the first record at or after the offset. */
  #indexOf(offset: number): number {
    let low = 0
    let high = this.#records.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#records[middle]!.offset < offset) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Bytes of a record in a batch of its own, near enough to Kafka's own count for the bound `max.message.bytes`. */
export function batchBytesOf({ key, value, headers = {} }: NewRecord): number {
  let bytes = BATCH_BYTES + RECORD_BYTES + Buffer.byteLength(key ?? '') + (value?.length ?? 0)
  for (const [name, text] of Object.entries(headers)) bytes += Buffer.byteLength(name) + Buffer.byteLength(text) + 4
  return bytes
}

function sizeOf({ key, value, headers }: StoredRecord): number {
  let bytes = (key?.length ?? 0) + (value?.length ?? 0)
  for (const [name, text] of Object.entries(headers)) bytes += name.length + text.length
  return bytes
}

/** A record batch's header, and what a record has beside key, value and headers (lengths, offset and time deltas). */
const BATCH_BYTES = 61
const RECORD_BYTES = 12
