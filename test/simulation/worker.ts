import type { Engine } from '../../engine/embedder.ts'
import { type EmbedPorts, embedDocuments } from '../../processors/embed-documents.ts'
import { type IndexPorts, indexVectors } from '../../processors/index-vectors.ts'
import { type IngestPorts, ingestDocuments } from '../../processors/ingest-documents.ts'
import type { Standing } from '../../processors/standing.ts'
import { vectorCache } from '../../processors/vector-cache.ts'
import type { VectorIndex } from '../../processors/vector-index.ts'
import { deadLetters } from '../../schemas/topics.ts'
import type { Broker } from '../../streams/broker.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Hold } from '../../streams/holding.ts'
import { noLow } from '../../streams/low.ts'
import type { Observer } from '../../streams/observer.ts'
import type { Processor } from '../../streams/processor.ts'
import { type Runner, runProcessor } from '../../streams/runner.ts'
import { type Stage, stage } from '../../streams/topology.ts'
import { type BrokerWorld, brokerClient } from './broker-client.ts'
import type { GroupClient } from './group-client.ts'
import { type IndexWorld, indexClient } from './index-client.ts'
import type { Material } from './material.ts'
import type { Actor, Scheduler } from './scheduler.ts'
import { PARTITIONS, type Setting } from './story.ts'

/** A planted bug is put around one of these; nothing in the product knows of it. */
export interface Wrapping {
  broker?(broker: Broker): Broker
  index?(index: VectorIndex): VectorIndex
  markers?(): IndexPorts['markers']
  ingest?(processor: Processor<IngestPorts>): Processor<IngestPorts>
  embed?(processor: Processor<EmbedPorts>): Processor<EmbedPorts>
  indexing?(processor: Processor<IndexPorts>): Processor<IndexPorts>
}

export interface WorkerWorld extends BrokerWorld, IndexWorld {
  readonly scheduler: Scheduler
  readonly material: Material
  readonly setting: Setting
  readonly wrapping: Wrapping
  /** What counts of `progress`, and whether what lies last does not. */
  published(partition: number): { readonly written: number; readonly isTalkedOver: boolean }
  /** A stage can never go on. */
  stopped(actor: Actor, error: Error): void
}

/** One process of the simulation: the real stages, in the real loop, each call of theirs an event. */
export interface Worker {
  readonly actor: Actor
  readonly groups: readonly GroupClient[]
  readonly running: boolean
  idle(): boolean
  close(): Promise<void>
}

export function startWorker(world: WorkerWorld, actor: Actor): Worker {
  const { scheduler, material, setting, wrapping } = world
  const clock = scheduler.clockOf(actor, setting.skewMs === 0 ? 0 : actor.chance.below(setting.skewMs))
  const client = brokerClient(world, actor)
  const index = indexClient(world, actor)
  const broker: Broker = wrapping.broker?.(client) ?? client
  const runtime = {
    broker,
    serde: material.serde,
    scope: material.scope,
    partitions: PARTITIONS,
    deadLetters,
    clock,
    observer: telling(scheduler, actor),
    sessionTimeoutMs: setting.sessionMs,
    failed: (error: Error) => world.stopped(actor, error),
  }
  // Compaction keeps to what retention allows: a partition that is compared is found to be as the log says.
  const nothingMissed = async () => {
    await scheduler.turn(actor, 'a partition was compared')
    return noLow
  }
  const embedPorts: EmbedPorts = {
    engine: engineIn(world, actor),
    known: index,
    cache: vectorCache({ bytesMax: setting.cacheBytesMax }),
    now: clock.now,
    decodeDocument: () => Promise.reject(new Error('nothing comes by redo')),
    counted: () => {},
    compare: nothingMissed,
  }
  const indexPorts: IndexPorts = {
    index: wrapping.index?.(index) ?? index,
    now: clock.now,
    markers: wrapping.markers?.() ?? new Map(),
    compare: nothingMissed,
    standing: standingOf(world),
  }
  const stages: Stage[] = [
    ...(setting.ingest
      ? [stage(wrapping.ingest?.(ingestDocuments) ?? ingestDocuments, { admit: () => holdIn(world, actor) })]
      : []),
    stage(wrapping.embed?.(embedDocuments) ?? embedDocuments, embedPorts),
    stage(wrapping.indexing?.(indexVectors) ?? indexVectors, indexPorts),
  ]
  const runners: Runner[] = []
  for (const { processor, ports } of stages) {
    runProcessor(processor, ports, runtime).then(
      (runner) => runners.push(runner),
      (error) => world.stopped(actor, error),
    )
  }
  return {
    actor,
    groups: client.groups,
    get running() {
      return runners.length === stages.length
    },
    idle: () => runners.every((runner) => runner.idle()),
    async close() {
      await Promise.all(runners.map((runner) => runner.close()))
    },
  }
}

/** One collection, that serves. What is published it knows at once; what it does not, a table would tell it later. */
function standingOf({ published }: WorkerWorld): Standing {
  return {
    begin: async (_at, own) => own,
    check() {},
    admit: async () => {},
    speaks: () => true,
    applied() {},
    rejected() {},
    written: (partition) => published(partition).written,
    isTalkedOver: (partition, own) => published(partition).isTalkedOver || published(partition).written > own,
    told: () => ({ receipts: null, behind: null, rejected: null }),
  }
}

/** As a quota would, and as nobody knows when. */
function holdIn({ setting }: WorkerWorld, { chance }: Actor): Hold | null {
  if (setting.held === 0 || !chance.hits(setting.held)) return null
  return { state: 'over-quota', reason: 'the seed says so', retryAfterMs: chance.below(2_000) }
}

/** The vectors of the hash engine, after a while. */
function engineIn({ scheduler, material }: WorkerWorld, actor: Actor): Engine {
  return {
    ...material.engine,
    split: async (text) => material.chunksOf(text),
    async embed(texts, { signal }) {
      signal?.throwIfAborted()
      await scheduler.turn(actor, 'embedded')
      signal?.throwIfAborted()
      return texts.map((text) => material.vectorOf(text))
    },
    documentTerms: (text) => material.termsOf(text),
  }
}

function telling(scheduler: Scheduler, actor: Actor): Observer {
  return {
    handled() {},
    moved() {},
    lost() {},
    retried({ processor, partition, error }) {
      if (scheduler.tells) scheduler.note(actor, `${processor}/${partition} tries again: ${reasonOf(error)}`)
    },
    task({ processor, partition, state, offset, reason }) {
      if (scheduler.tells)
        scheduler.note(
          actor,
          `${processor}/${partition} ${state}${offset === undefined ? '' : ` at ${offset}`}${reason === undefined ? '' : `: ${reason}`}`,
        )
    },
  }
}
