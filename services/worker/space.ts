import type pino from 'pino'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { qdrantContents } from '../../connectors/qdrant/contents.ts'
import type { Engine } from '../../engine/embedder.ts'
import { comparePartition } from '../../maintenance/compare-partition.ts'
import { servingIn, spaceKey, standsFor, tellsRejections } from '../../processors/collections.ts'
import { embedDocuments } from '../../processors/embed-documents.ts'
import { vectorCache } from '../../processors/vector-cache.ts'
import type { Compare } from '../../processors/vector-index.ts'
import { ensureTopics } from '../../schemas/ensure-topics.ts'
import type { Document } from '../../schemas/records.ts'
import { catalogue, documents, vectors } from '../../schemas/topics.ts'
import { systemClock } from '../../streams/clock.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import type { Low } from '../../streams/low.ts'
import type { Runner, Runtime } from '../../streams/runner.ts'
import type { States } from '../../streams/states.ts'
import { nameIn, type Scope } from '../../streams/topic.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import type { WorkerConfig } from '../config.ts'
import { describeModel, type ModelVersion } from '../engine.ts'
import { orWait, type Platform } from '../platform.ts'
import { aborted } from './aborted.ts'
import { type Collections, type CollectionsOptions, keepCollections } from './collections.ts'
import type { Followed } from './followed.ts'
import { knownInServing } from './known-in-serving.ts'
import type { EngineMetrics } from './metrics.ts'
import { shadowEngine } from './shadow-engine.ts'

export interface SpaceOptions {
  readonly config: WorkerConfig
  readonly platform: Platform
  readonly followed: Followed
  readonly qdrant: Qdrant
  /** Named as the space's. `scope` and `serde` are put in here. */
  readonly runtime: Runtime
  /** Of the process. */
  readonly states: States
  readonly metrics: EngineMetrics
  readonly keepIndexes: CollectionsOptions['keepIndexes']
  open(model: ModelVersion): Promise<Engine>
  /** Texts that wait for the engine of the space that answers. */
  waiting(): number
  pace(records: number, signal: AbortSignal): Promise<void>
  readonly log: pino.Logger
}

/** A space at work. */
export interface KeptSpace {
  /** Resolves when it runs for the first time. */
  readonly started: Promise<void>
  /** null: it is not open. */
  engine(): Engine | null
  missing(): string | null
  recheck(): Promise<void>
  close(): Promise<void>
}

/**
 * One space: its engine, one embed-documents, and an index-vectors for each of its collections. Begun again when it fails; what
 * befalls the one that answers ends the process, but for a model that cannot be opened, which is a state.
 */
export function keepSpace(space: string, options: SpaceOptions): KeptSpace {
  const { followed, log, runtime } = options
  const scope: Scope = { prefix: options.platform.scope.prefix, space }
  const serves = (): boolean => servingIn(followed.decided(), scope).space === space
  const stopped = new AbortController()
  const started = Promise.withResolvers<void>()
  let present: Pair | null = null
  let wait: string | null = `the space ${space} is not open yet`

  const run = async (): Promise<void> => {
    const engine = await openModel(space, options)
    const failure = Promise.withResolvers<Error>()
    let pair: Pair | null = null
    try {
      pair = await begin(engine, scope, serves, failure.resolve, options)
      present = pair
      const ended = Promise.race([failure.promise, aborted(stopped.signal)])
      const early = await Promise.race([pair.collections.started, ended])
      if (early instanceof Error) throw early
      wait = null
      started.resolve()
      const error = await ended
      if (error !== null) throw error
    } finally {
      present = null
      await Promise.allSettled([pair?.runner.close(), pair?.collections.close()])
      options.metrics.closed(space)
      await engine.close()
    }
  }

  const running = (async () => {
    for (let attempt = 1; !stopped.signal.aborted; attempt++) {
      try {
        await run()
      } catch (error) {
        if (stopped.signal.aborted) return
        const isWorlds = error instanceof Retry || error instanceof ModelUnavailable
        if (serves() && !isWorlds) return runtime.failed(error as Error)
        wait = `the space ${space}: ${reasonOf(error)}`
        log.warn({ space, attempt, reason: reasonOf(error) }, 'this space is not kept up to date; trying again')
        await systemClock.wait(Math.min(AGAIN_MS * 2 ** Math.min(attempt, 6), AGAIN_MS_MAX), stopped.signal)
      }
    }
  })()

  return {
    started: started.promise,
    engine: () => present?.engine ?? null,
    missing: () => wait ?? present?.collections.missing() ?? null,
    async recheck() {
      await Promise.all([present?.runner.recheck(), present?.collections.recheck()])
    },
    async close() {
      stopped.abort()
      // What has not begun yet ends as soon as it has.
      if (present !== null) await running
    },
  }
}

interface Pair {
  readonly engine: Engine
  readonly runner: Runner
  readonly collections: Collections
}

/** The world may be well again, and the model's files may be put right. */
class ModelUnavailable extends Error {}

/** The engine of the space's model, once it is known to be of this space. */
async function openModel(space: string, { followed, states, open, platform }: SpaceOptions): Promise<Engine> {
  const subject = `space ${space}`
  try {
    const model = followed.get(spaceKey(space))?.space
    if (model == null) throw new Error('control does not say which model it is of')
    const engine = await open(model)
    if (engine.space.id !== space) {
      await engine.close()
      throw new Error(`${describeModel(model)} is of ${engine.space.id} here, and control says ${space}`)
    }
    states.clear('model-unavailable', subject)
    return engine
  } catch (error) {
    const blocking = servingIn(followed.decided(), platform.scope).space === space
    states.raise('model-unavailable', subject, reasonOf(error), { blocking })
    throw new ModelUnavailable(reasonOf(error), { cause: error })
  }
}

async function begin(
  engine: Engine,
  scope: Scope,
  serves: () => boolean,
  failed: (error: Error) => void,
  options: SpaceOptions,
): Promise<Pair> {
  const { config, platform, followed, qdrant, metrics, waiting, pace, keepIndexes, log } = options
  const { broker, outside } = platform
  const serde = outside.serde(scope)
  const { partitions, replicationFactor } = config
  await orWait(ensureTopics(broker.admin, { scope, partitions, replicationFactor }, [vectors]))
  await serde.register(catalogue)
  const runtime: Runtime = { ...options.runtime, scope, serde, failed }
  /** Of a collection, with `documents`. */
  const compareIn = (collection: string): Compare =>
    comparePartition({
      broker,
      serde,
      scope,
      partitions,
      contents: qdrantContents(qdrant, { collection, space: scope.space }),
      epoch: () => platform.epoch,
      clock: systemClock,
      found: (partition, differences) => log.info({ collection, partition, differences }, 'compared with documents'),
    })
  const standing = (): string => standsFor(followed.decided(), scope)
  const textsMax = Math.max(1, Math.floor(config.embedWorkers / 2))
  const embed = stage(embedDocuments, {
    engine: shadowEngine(engine, { serves, waiting, textsMax, clock: systemClock }),
    known: knownInServing(qdrant, engine.space, standing, (error) =>
      log.warn({ reason: reasonOf(error) }, 'the index did not say what it knows; embedding'),
    ),
    cache: vectorCache({ bytesMax: config.vectorCacheBytesMax }),
    now: Date.now,
    decodeDocument: (bytes) => serde.decode(documents, bytes) as Promise<Document>,
    counted: metrics.opened(scope.space, engine),
    compare: (compared) => compareIn(standing())(compared),
    speaks: () => tellsRejections(followed.decided(), scope),
  })
  const { dimensions } = engine.space
  const end = async (partition: number): Promise<Low> => {
    const offsets = await broker.admin.offsets(nameIn(scope, documents))
    const found = offsets.find((each) => each.partition === partition)
    return { epoch: platform.epoch, low: (found?.end ?? 0) - 1 }
  }
  const collections = keepCollections({ runtime, followed, qdrant, dimensions, end, pace, compareIn, keepIndexes, log })
  try {
    const [runner] = await runTopology([embed], runtime)
    for (const line of describeTopology([embedDocuments], scope)) log.info(line)
    return { engine, runner: runner!, collections }
  } catch (error) {
    await collections.close()
    throw error
  }
}

const AGAIN_MS = 250
const AGAIN_MS_MAX = 15_000
