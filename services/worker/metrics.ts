import type pino from 'pino'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { Engine } from '../../engine/embedder.ts'
import type { ChunkCounts } from '../../processors/embed-documents.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import type { Observer } from '../../streams/observer.ts'
import { subjectOf } from '../../streams/states.ts'

export interface WorkerObserver extends Observer {
  /** What a task has been waiting for longer than a moment; null when nothing is. */
  waiting(): string | null
}

/** The runtime's events as metrics and log lines, the same for each processor. */
export function observed(register: Registry, log: pino.Logger, now: () => number): WorkerObserver {
  const registers = [register]
  const at = ['processor', 'topic', 'partition'] as const
  const records = new Counter({
    name: 'freshet_records_total',
    help: 'Records handled, rejected ones included.',
    labelNames: ['processor'],
    registers,
  })
  const rejected = new Counter({
    name: 'freshet_dead_letters_total',
    help: 'Records rejected, each with a dead letter.',
    labelNames: ['processor'],
    registers,
  })
  const batchSeconds = new Histogram({
    name: 'freshet_batch_seconds',
    help: 'From taking a batch to the acknowledgement of what it led to.',
    labelNames: ['processor'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  })
  const low = new Gauge({
    name: 'freshet_low_offset',
    help: 'Every offset up to this is handled.',
    labelNames: at,
    registers,
  })
  const lag = new Gauge({
    name: 'freshet_lag_records',
    help: 'Offsets between the watermark and the end of the partition, as last fetched.',
    labelNames: at,
    registers,
  })
  const retries = new Counter({
    name: 'freshet_retries_total',
    help: 'Attempts that failed and were made again.',
    labelNames: ['processor'],
    registers,
  })
  const lostOffsets = new Counter({
    name: 'freshet_lost_offsets_total',
    help: 'Offsets that were removed from a log before they were handled, transaction markers counted.',
    labelNames: ['processor', 'topic'],
    registers,
  })
  const troubled = new Map<string, { since: number; reason: string }>()
  return {
    waiting() {
      for (const [task, { since, reason }] of troubled) {
        const ms = now() - since
        if (ms >= WAITING_MS_MIN) return `${task} has been waiting for ${Math.round(ms / 1_000)} s: ${reason}`
      }
      return null
    },
    handled(event) {
      troubled.delete(subjectOf(event))
      records.inc({ processor: event.processor }, event.records)
      rejected.inc({ processor: event.processor }, event.rejected)
      batchSeconds.observe({ processor: event.processor }, event.ms / 1_000)
      if (event.rejected > 0)
        log.warn(
          { processor: event.processor, partition: event.partition, rejected: event.rejected },
          'rejected records, see dead-letters',
        )
    },
    moved({ processor, topic, partition, low: offset, end }) {
      low.set({ processor, topic, partition }, offset)
      lag.set({ processor, topic, partition }, Math.max(0, end - 1 - offset))
    },
    retried({ processor, topic, partition, attempt, error }) {
      retries.inc({ processor })
      const task = subjectOf({ processor, topic, partition })
      // What has a name is a state, and says the same there.
      const named = error instanceof Retry && error.state !== null
      if (named) troubled.delete(task)
      else troubled.set(task, { since: troubled.get(task)?.since ?? now(), reason: reasonOf(error) })
      // A state has a line of its own where it begins and where it ends.
      log[named && attempt > 2 ? 'debug' : 'warn'](
        { processor, topic, partition, attempt, reason: reasonOf(error) },
        'trying again',
      )
    },
    lost({ processor, topic, offsets }) {
      lostOffsets.inc({ processor, topic }, offsets)
    },
    task({ processor, topic, partition, state, offset, reason }) {
      // A reason means that something was out of order: a place that has left the log, an index set back.
      log[reason === undefined ? 'info' : 'warn']({ processor, topic, partition, offset, reason }, `task ${state}`)
      troubled.delete(subjectOf({ processor, topic, partition }))
      if (state === 'revoked') {
        low.remove({ processor, topic, partition })
        lag.remove({ processor, topic, partition })
      }
    },
  }
}

/** A retry or two is daily life; after this long the worker says that it is not ready. */
const WAITING_MS_MIN = 10_000

/** The engines of a worker, one for each space that is kept, and where vectors came from. */
export interface EngineMetrics {
  /** From now on this engine makes the vectors of the space. */
  opened(space: string, engine: Engine): (counts: ChunkCounts) => void
  closed(space: string): void
}

export function engineMetrics(register: Registry): EngineMetrics {
  const registers = [register]
  const engines = new Map<string, Engine>()
  const of = ['space', 'model'] as const
  const labelsOf = (space: string, { space: { model } }: Engine) => ({ space, model })
  const chunks = new Counter({
    name: 'freshet_chunks_total',
    help: 'Chunks by where their vector came from.',
    labelNames: ['from', ...of],
    registers,
  })
  new Counter({
    name: 'freshet_embedding_seconds_total',
    help: 'CPU inside the model, over all threads.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      for (const [space, engine] of engines) this.inc(labelsOf(space, engine), engine.stats().runMs / 1_000)
    },
  })
  new Counter({
    name: 'freshet_embedded_tokens_total',
    help: 'Tokens given to the model.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      for (const [space, engine] of engines) this.inc(labelsOf(space, engine), engine.stats().tokens)
    },
  })
  new Gauge({
    name: 'freshet_embedding_queue_texts',
    help: 'Texts that wait for the model.',
    labelNames: of,
    registers,
    collect() {
      this.reset()
      for (const [space, engine] of engines) this.set(labelsOf(space, engine), engine.stats().queued)
    },
  })
  return {
    opened(space, engine) {
      engines.set(space, engine)
      const labels = labelsOf(space, engine)
      return ({ embedded, fromCache, fromIndex }) => {
        chunks.inc({ from: 'model', ...labels }, embedded)
        chunks.inc({ from: 'cache', ...labels }, fromCache)
        chunks.inc({ from: 'index', ...labels }, fromIndex)
      }
    },
    closed: (space) => void engines.delete(space),
  }
}
