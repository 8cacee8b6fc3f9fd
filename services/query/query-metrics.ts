import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { AsOf } from './answers.ts'
import type { SlowReading } from './unread.ts'

export interface QueryState {
  /** Of each open WebSocket, what waits for its client to read, bytes. */
  unread(): readonly number[]
  asOf(): Pick<AsOf, 'staleMs' | 'ingestStaleMs'>
  /** Of each source before `documents`. */
  sources(): readonly { readonly source: string; readonly staleMs: number }[]
}

/** What clients ask for and how that goes; the answer is told of each. */
export function queryMetrics(metrics: Registry, { unread, asOf, sources }: QueryState) {
  const registers = [metrics]
  const seconds = new Histogram({
    name: 'freshet_operation_seconds',
    help: 'From a message to its result, done or error.',
    labelNames: ['type', 'code'],
    registers,
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  })
  const refused = new Counter({
    name: 'freshet_upgrades_refused_total',
    help: 'WebSocket upgrades that were refused.',
    labelNames: ['status'],
    registers,
  })
  const slow = new Counter({
    name: 'freshet_slow_readers_total',
    help: 'WebSockets that were closed since the client did not read: too many bytes, or too many seconds.',
    labelNames: ['bound'],
    registers,
  })
  new Gauge({
    name: 'freshet_connections',
    help: 'Open WebSockets.',
    registers,
    collect() {
      this.set(unread().length)
    },
  })
  new Gauge({
    name: 'freshet_unread_bytes',
    help: 'What waits in this process for its clients to read.',
    registers,
    collect() {
      this.set(unread().reduce((sum, bytes) => sum + bytes, 0))
    },
  })
  new Gauge({
    name: 'freshet_staleness_seconds',
    help: 'How stale the worst partition of the index is.',
    labelNames: ['stage'],
    registers,
    collect() {
      const { staleMs, ingestStaleMs } = asOf()
      this.set({ stage: 'index' }, staleMs / 1_000)
      this.set({ stage: 'ingest' }, ingestStaleMs / 1_000)
    },
  })
  new Gauge({
    name: 'freshet_source_staleness_seconds',
    help: 'How long the oldest record of the source that is not in documents yet has been waiting.',
    labelNames: ['source'],
    registers,
    collect() {
      for (const { source, staleMs } of sources()) this.set({ source }, staleMs / 1_000)
    },
  })
  return {
    ended: (type: string, code: string, ms: number) => seconds.observe({ type, code }, ms / 1_000),
    slow: (bound: SlowReading) => slow.inc({ bound }),
    refused: (status: string) => refused.inc({ status }),
  }
}
