import type { Stack } from '../infra/local/stack.ts'
import type { Platform } from './platform.ts'
import type { Figure } from './report.ts'

/** A measurement: figures, one value for each round. */
export type Bench = (context: BenchContext) => Promise<Figure[]>

export interface BenchContext {
  readonly rounds: number
  /** Documents of a bulk round. */
  readonly documents: number
  /** Standing queries. */
  readonly standing: number
  /** Threads that embed, on both sides of a comparison. */
  readonly threads: number
  readonly stack: Stack
  /** Topics, groups and collection of its own, with a worker and a query service, and settings beside the bench's. */
  open(name: string, env?: Readonly<Record<string, string>>): Promise<Platform>
  say(text: string): void
}
