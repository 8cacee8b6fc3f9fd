/**
 * Freshness arithmetic: pure. Offsets are positions in one topic; a *frontier* follows how far the end of each partition is
 * known, and how far it is done.
 */
export interface PartitionFreshness {
  /** Every position up to this, inclusive, is done. -1 before the first; null until anything is known. */
  readonly low: number | null
  /** The position that the next record will get; null until known. */
  readonly end: number | null
  /** ms since the first position that is not done was first seen; 0 when nothing is open. */
  readonly staleMs: number
  /** The age is known, and nothing holds the watermark back. */
  readonly complete: boolean
}

interface Seen {
  /** Positions below this were there by `at`. */
  readonly end: number
  readonly at: number
}

/** One partition. */
export class Frontier {
  #low: number | null = null
  #end: number | null = null
  /** Ends in the order that they were first seen; those that are done are dropped. */
  #seen: Seen[] = []
  /** What was there before we looked: of what is open below it, the age is not known. */
  #before: number | null = null
  #openedAt = 0

  /** The end of the partition, as somebody saw it at `now`, ms. */
  sawEnd(end: number, now: number): void {
    if (this.#end === null) {
      this.#before = end
      this.#openedAt = now
    } else if (end > this.#end) this.#seen.push({ end, at: now })
    if (this.#end === null || end > this.#end) this.#end = end
    // More steps than this are not told apart: ages are then those of an older one, never of a younger.
    if (this.#seen.length > SEEN_MAX) this.#seen.splice(SEEN_MAX / 2, 1)
  }

  /** The watermark, as published. It may go back: an index was restored from an older copy. */
  sawLow(low: number): void {
    this.#low = low
    const done = low + 1
    if (this.#before !== null && done < this.#before) return
    while (this.#seen.length > 0 && this.#seen[0]!.end <= done) this.#seen.shift()
  }

  /** As `sawLow` was told last. */
  get low(): number | null {
    return this.#low
  }

  covers(offset: number): boolean {
    return this.#low !== null && offset <= this.#low
  }

  freshness(now: number): PartitionFreshness {
    const low = this.#low
    const end = this.#end
    if (low === null || end === null) {
      const nothingThere = end === 0
      return { low, end, staleMs: nothingThere || end === null ? 0 : now - this.#openedAt, complete: nothingThere }
    }
    if (low + 1 >= end) return { low, end, staleMs: 0, complete: true }
    if (this.#before !== null && low + 1 < this.#before)
      return { low, end, staleMs: now - this.#openedAt, complete: false }
    return { low, end, staleMs: now - (this.#seen[0]?.at ?? this.#openedAt), complete: true }
  }
}

const SEEN_MAX = 4_096

export interface Freshness {
  readonly staleMs: number
  readonly complete: boolean
}

/** The worst of all partitions. */
export function worstOf(partitions: Iterable<PartitionFreshness>): Freshness {
  let staleMs = 0
  let complete = true
  for (const each of partitions) {
    staleMs = Math.max(staleMs, each.staleMs)
    complete &&= each.complete
  }
  return { staleMs, complete }
}

/**
 * What a token wraps: positions in `documents` by partition, and the epoch that they count in. A number means everything up
 * to it; a list means exactly these, so that a writer of several documents need not wait for what others wrote before.
 */
export interface Positions {
  readonly epoch: number
  readonly documents: Readonly<Record<number, number | readonly number[]>>
}

export function tokenOf({ epoch, documents }: Positions): string {
  return Buffer.from(JSON.stringify({ epoch, documents })).toString('base64url')
}

/** null for what is not a token. */
export function positionsOf(token: string): Positions | null {
  try {
    const { epoch, documents } = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
    const sound =
      Number.isSafeInteger(epoch) &&
      typeof documents === 'object' &&
      documents !== null &&
      Object.entries(documents).every(
        ([partition, at]) => /^\d{1,4}$/.test(partition) && (Array.isArray(at) ? at : [at]).every(Number.isSafeInteger),
      )
    return sound ? { epoch, documents } : null
  } catch {
    return null
  }
}
