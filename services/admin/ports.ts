import type { EraseOptions } from '../../maintenance/erase.ts'
import type { ErasureReceipt } from '../../maintenance/erasure-receipt.ts'
import type { Subject } from '../../maintenance/erasure-world.ts'
import type { Administration, Decider } from '../administration.ts'
import type { ControlFollower } from '../control-follower.ts'

/** What administration does in the world: what the command line does too. */
export interface AdminPorts {
  readonly control: Pick<ControlFollower, 'get' | 'entries'>
  /** On what `control` says now. Resolves when what was decided is known here. */
  administer<T>(decider: Decider, work: (administration: Administration) => Promise<T>): Promise<T>
  erase(subject: Subject, decider: Decider, options: EraseOptions): Promise<ErasureReceipt>
  status(): Promise<object>
}

/** Why something is not done, as HTTP says it. */
export class Refused extends Error {
  override name = 'Refused'
  readonly status: number
  readonly code: string
  readonly retryAfterMs: number | undefined
  constructor(status: number, code: string, message: string, { retryAfterMs }: { retryAfterMs?: number } = {}) {
    super(message)
    this.status = status
    this.code = code
    this.retryAfterMs = retryAfterMs
  }
}
