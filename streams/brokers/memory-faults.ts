import type { NewRecord, Position } from '../broker.ts'

/**
 * Where a test may step between a caller and the broker. A hook may take its time, and what it throws is what the caller
 * sees: thrown before the deed it is a request that never arrived, after the deed a response that was lost.
 */
export interface Faults {
  beforeSend?(records: readonly NewRecord[]): void | Promise<void>
  afterSend?(records: readonly NewRecord[], positions: readonly Position[]): void | Promise<void>
  beforeTransaction?(id: string, records: readonly NewRecord[]): void | Promise<void>
  /** The records are written and not committed. A throw leaves the transaction open, as a crash does, until it is fenced or expires. */
  beforeCommit?(id: string, records: readonly NewRecord[]): void | Promise<void>
  afterCommit?(id: string, positions: readonly Position[]): void | Promise<void>
  beforeOffsetCommit?(group: string, positions: readonly Position[]): void | Promise<void>
  afterOffsetCommit?(group: string, positions: readonly Position[]): void | Promise<void>
}
