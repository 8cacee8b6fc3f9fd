import { documentKeyIn } from '../processors/document-key.ts'
import { BUCKETS, bucketOf } from '../processors/index-contents.ts'
import type { Broker, StoredRecord } from '../streams/broker.ts'

/** Where the latest record of a key lies, and whether it is a document or deletes one. */
export interface Latest {
  readonly offset: number
  readonly live: boolean
}

export interface LatestOptions {
  readonly broker: Pick<Broker, 'read'>
  /** `documents`, as it is called here. */
  readonly topic: string
  readonly partition: number
  readonly partitions: number
  /** The first bucket; the last one follows from the bound. */
  readonly from: number
  readonly start: number
  /** More keys than this are not remembered at the first reading: a later pass takes the buckets that are left. */
  readonly keysMax: number
  readonly signal: AbortSignal
  read(records: number, bytes: number): Promise<void>
}

/**
 * The latest revision of each key of a partition of `documents`, of as many buckets as fit into memory: some 100 bytes for
 * each key, whatever the size of the documents. What it covers is fixed after the first reading.
 */
export class LatestRevisions {
  readonly #options: LatestOptions
  readonly #byBucket: Map<string, Latest>[] = Array.from({ length: BUCKETS }, () => new Map())
  #to = BUCKETS
  #keys = 0
  #next: number
  #fixed = false

  constructor(options: LatestOptions) {
    this.#options = options
    this.#next = options.start
  }

  /** The first bucket that is not covered. */
  get to(): number {
    return this.#to
  }

  /** The first offset that was not read. */
  get next(): number {
    return this.#next
  }

  /** null: `documents` does not have the key. Whoever would ask for one that is not covered would be told the same. */
  of(key: string): Latest | null {
    const bucket = bucketOf(key)
    if (bucket < this.#options.from || bucket >= this.#to) throw new Error(`${key} is in a bucket that was not read`)
    return this.#byBucket[bucket]!.get(key) ?? null
  }

  in(bucket: number): ReadonlyMap<string, Latest> {
    return this.#byBucket[bucket]!
  }

  /** Reads on, up to the offset. */
  async readTo(end: number): Promise<void> {
    const { broker, topic, partition, signal, read } = this.#options
    for await (const { records, next } of broker.read({ topic, partition, from: this.#next, to: end, signal })) {
      let bytes = 0
      for (const record of records) {
        this.#take(record)
        bytes += (record.key?.length ?? 0) + (record.value?.length ?? 0)
      }
      this.#next = Math.max(this.#next, next)
      await read(records.length, bytes)
    }
    this.#next = Math.max(this.#next, end)
    this.#fixed = true
  }

  #take({ key: bytes, value, offset }: StoredRecord): void {
    const { partition, partitions } = this.#options
    const key = documentKeyIn(bytes, partition, partitions)
    if (key === null) return
    const bucket = bucketOf(key)
    if (bucket < this.#options.from || bucket >= this.#to) return
    const latest = this.#byBucket[bucket]!
    if (!latest.has(key)) this.#keys++
    latest.set(key, { offset, live: value !== null })
    if (this.#keys > this.#options.keysMax && !this.#fixed) this.#shrink()
  }

  /** Half of the buckets are for a later pass. */
  #shrink(): void {
    const { from } = this.#options
    const to = from + Math.ceil((this.#to - from) / 2)
    for (let bucket = to; bucket < this.#to; bucket++) {
      this.#keys -= this.#byBucket[bucket]!.size
      this.#byBucket[bucket]!.clear()
    }
    this.#to = to
  }
}
