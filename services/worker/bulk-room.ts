import type { PartitionOffsets } from '../../streams/broker.ts'
import type { Clock } from '../../streams/clock.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import type { BulkRoom } from './source-admission.ts'

export interface BulkRoomPorts {
  /** Offsets of `documents` that the index may be behind. */
  readonly lagMax: number
  /** Whether any source is bulk; nobody is asked while none is. */
  wanted(): boolean
  /** Of `documents`, by partition. */
  ends(): Promise<readonly PartitionOffsets[]>
  /** Up to where the partition is in the collection that serves; -1: nothing is known. */
  low(partition: number): number
  readonly clock: Clock
  failed(error: Error): void
}

/**
 * Sources that are bulk go on while the index is no more than so many offsets of `documents` behind, over all partitions: the end of each log
 * less the watermark of the collection that serves, as `progress` has it. What was admitted since that was looked at counts too, so that the
 * bound is passed by no more than one batch of each partition, and by as much again for each worker more. While it is not known there is no room.
 */
export function bulkRoom({ lagMax, wanted, ends, low, clock, failed }: BulkRoomPorts): BulkRoom & { close(): void } {
  const closed = new AbortController()
  let left = 0
  let reason = 'it is not known yet how far the index is behind documents'
  let took = 0

  const look = async (): Promise<void> => {
    took = 0
    try {
      const lag = lagOf(await ends(), low)
      left = lagMax - lag - took
      reason = `the index is ${lag} offsets behind documents, and bulk sources wait from ${lagMax} on`
    } catch (error) {
      if (!(error instanceof Retry)) return failed(error as Error)
      left = 0
      reason = `it is not known how far the index is behind documents: ${reasonOf(error)}`
    }
  }
  void (async () => {
    while (!closed.signal.aborted) {
      if (wanted()) await look()
      else left = 0
      await clock.wait(LOOK_EVERY_MS, closed.signal)
    }
  })()

  return {
    get left() {
      return left
    },
    get reason() {
      return reason
    },
    took() {
      took++
      left--
    },
    close: () => closed.abort(),
  }
}

/** Offsets behind, over all partitions. Markers of transactions are offsets too. */
export const lagOf = (ends: readonly PartitionOffsets[], low: (partition: number) => number): number =>
  ends.reduce((sum, { partition, start, end }) => sum + Math.max(0, end - 1 - Math.max(low(partition), start - 1)), 0)

const LOOK_EVERY_MS = 250
