import type pino from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { auditContinuously, lowRate } from '../../maintenance/continuous.ts'
import type { AuditWorld } from '../../maintenance/world.ts'
import { embedDocuments } from '../../processors/embed-documents.ts'
import { documents } from '../../schemas/topics.ts'
import type { Clock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Observer } from '../../streams/observer.ts'
import { nameIn } from '../../streams/topic.ts'
import type { WorkerConfig } from '../config.ts'

export interface Auditing {
  /** Watches which partitions are ours, and how far behind: those whose documents this worker embeds into the space that serves, so that each is audited once. */
  watched(observer: Observer, space: string): Observer
  /** Begins; resolves at once. Answers what ends it. */
  start(clock: Clock, world: () => Promise<AuditWorld>): () => Promise<void>
}

/** The audit that goes on in the worker, at a low rate: its metrics, its log lines, and when it holds still. */
export function auditing(
  config: Pick<
    WorkerConfig,
    'auditPointsPerSecondMax' | 'auditEveryMs' | 'auditRepair' | 'auditRepairsMax' | 'topicPrefix'
  >,
  register: Registry,
  log: pino.Logger,
  serving: () => string,
  now: () => number = Date.now,
): Auditing {
  const source = nameIn({ prefix: config.topicPrefix, space: '' }, documents)
  const lagBySpace = new Map<string, Map<number, number>>()
  const served = (): ReadonlyMap<number, number> => lagBySpace.get(serving()) ?? new Map()
  const metrics = auditMetrics(register, () => [...served().keys()], now)
  return {
    watched(observer, space) {
      const lag = new Map<number, number>()
      lagBySpace.set(space, lag)
      return {
        ...observer,
        moved(event) {
          observer.moved(event)
          if (event.processor === embedDocuments.name && event.topic === source && lag.has(event.partition))
            lag.set(event.partition, event.end - 1 - event.low)
        },
        task(event) {
          observer.task(event)
          if (event.processor !== embedDocuments.name || event.topic !== source) return
          if (event.state === 'revoked') lag.delete(event.partition)
          else if (!lag.has(event.partition)) lag.set(event.partition, 0)
        },
      }
    },
    start(clock, world) {
      const closed = new AbortController()
      if (config.auditPointsPerSecondMax === 0) return async () => {}
      const { signal } = closed
      const running = (async () => {
        const busy = () => [...served().values()].some((records) => records > BEHIND_RECORDS_MAX)
        let lines = 0
        await auditContinuously({
          world,
          owned: () => [...served().keys()],
          everyMs: config.auditEveryMs,
          repair: config.auditRepair === 'on',
          repairsMax: config.auditRepairsMax,
          pace: lowRate(config.auditPointsPerSecondMax, { clock, busy, signal }),
          signal,
          clock,
          found(finding) {
            metrics.found(finding)
            const { kind, key, partition, detail, state } = finding
            if (kind !== 'older' && ++lines <= LINES_MAX) log.warn({ kind, key, partition, detail }, `audit: ${state}`)
          },
          audited(partition, report) {
            lines = 0
            metrics.audited(partition, report)
            const { documents: compared, chunks, cost, token, inSync, behind } = report
            const about = { partition, documents: compared, chunks, ...cost, asOf: token }
            if (inSync) log.info(about, 'audit: in sync')
            else log.warn({ ...about, behind }, 'audit: not in sync')
          },
          failed: (partition, error) => log.warn({ partition, reason: reasonOf(error) }, 'audit: broken off'),
        })
      })().catch((error) => log.error({ reason: reasonOf(error) }, 'audit: ended'))
      return async () => {
        closed.abort(new Error('the worker ends'))
        await running
      }
    },
  }
}

/** Above it a partition has a rush to serve, and the audit waits. */
const BEHIND_RECORDS_MAX = 256
/** Findings that are logged of one audit of a partition; the metrics count all. */
const LINES_MAX = 20

function auditMetrics(register: Registry, owned: () => readonly number[], now: () => number) {
  const registers = [register]
  const findings = new Counter({
    name: 'freshet_audit_findings_total',
    help: 'Differences between the index and documents that the audit found.',
    labelNames: ['kind'],
    registers,
  })
  const repaired = new Counter({
    name: 'freshet_audit_repaired_total',
    help: 'Of these, what was repaired.',
    labelNames: ['kind'],
    registers,
  })
  const points = new Counter({
    name: 'freshet_audit_points_total',
    help: 'Points of the index that the audit read.',
    registers,
  })
  const seconds = new Gauge({
    name: 'freshet_audit_pass_seconds',
    help: 'How long the last whole audit of the partition took.',
    labelNames: ['partition'],
    registers,
  })
  let inSyncAt = new Map<number, number>()
  /** Of the partitions that are ours now. */
  const ages = (): ReadonlyMap<number, number> => {
    for (const partition of inSyncAt.keys()) if (!owned().includes(partition)) seconds.remove({ partition })
    inSyncAt = new Map(owned().map((partition) => [partition, inSyncAt.get(partition) ?? now()]))
    return inSyncAt
  }
  new Gauge({
    name: 'freshet_audit_in_sync_age_seconds',
    help: 'Since the audit last said that the partition is in sync; until it has, since the partition is this worker’s.',
    labelNames: ['partition'],
    registers,
    collect() {
      this.reset()
      for (const [partition, at] of ages()) this.set({ partition }, (now() - at) / 1_000)
    },
  })
  return {
    found({ kind, state, count }: { kind: string; state: string; count: number }) {
      if (state === 'found') findings.inc({ kind }, count)
      if (state === 'repaired') repaired.inc({ kind }, count)
    },
    audited(partition: number, { inSync, cost }: { inSync: boolean; cost: { points: number; seconds: number } }) {
      points.inc(cost.points)
      if (!ages().has(partition)) return
      seconds.set({ partition }, cost.seconds)
      if (inSync) inSyncAt.set(partition, now())
    },
  }
}
