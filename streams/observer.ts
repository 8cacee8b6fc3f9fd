import type { TopicPartition } from './broker.ts'

/** What the runtime tells of itself, the same for each processor. Metrics and logs are made of it. */
export interface Observer {
  handled(event: TopicPartition & { processor: string; records: number; rejected: number; ms: number }): void
  moved(event: TopicPartition & { processor: string; low: number; end: number }): void
  retried(event: TopicPartition & { processor: string; attempt: number; error: Error }): void
  /** Offsets that were removed from a log before they were handled. */
  lost(event: TopicPartition & { processor: string; offsets: number }): void
  /** A task began (again), or lost its partition. */
  task(
    event: TopicPartition & {
      processor: string
      state: 'started' | 'revoked' | 'started over'
      offset?: number
      reason?: string
    },
  ): void
}

export const silent: Observer = { handled() {}, moved() {}, retried() {}, lost() {}, task() {} }
