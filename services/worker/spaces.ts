import type pino from 'pino'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { firstSpaceIn, type Place, servingIn, spacesKeptIn } from '../../processors/collections.ts'
import { systemClock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Runtime } from '../../streams/runner.ts'
import type { States } from '../../streams/states.ts'
import type { WorkerConfig } from '../config.ts'
import type { Platform } from '../platform.ts'
import type { Followed } from './followed.ts'
import { named, statesOf } from './instances.ts'
import type { EngineMetrics } from './metrics.ts'
import { pacer } from './pace.ts'
import { type KeptSpace, keepSpace, type SpaceOptions } from './space.ts'

/** The spaces of a worker: the one that answers, and those beside it. */
export interface Spaces {
  /** Resolves when the space that answers at the start is open and follows. */
  readonly started: Promise<void>
  /** Where answers come from, now. */
  serving(): Place
  /** Up to where the partition is in the collection that answers; -1: nothing is known. */
  low(partition: number): number
  /** What the space that answers still waits for; null: nothing. */
  missing(): string | null
  /** As `Runner` has it. */
  recheck(): Promise<void>
  close(): Promise<void>
}

export interface SpacesOptions {
  readonly config: WorkerConfig
  readonly platform: Platform
  readonly followed: Followed
  readonly qdrant: Qdrant
  readonly runtime: Runtime & { readonly states: States }
  readonly metrics: EngineMetrics
  readonly keepIndexes: SpaceOptions['keepIndexes']
  readonly open: SpaceOptions['open']
  /** Watches the tasks of a space. */
  watched(observer: Runtime['observer'], space: string): Runtime['observer']
  readonly log: pino.Logger
}

/** Keeps each space that `control` says is to be kept, and follows what it says. */
export function keepSpaces(options: SpacesOptions): Spaces {
  const { config, platform, followed, qdrant, runtime, metrics, open, watched, log } = options
  const { scope } = platform
  const running = new Map<string, KeptSpace>()
  const pace = pacer(config.rebuildRecordsPerSecondMax, systemClock)
  let closed = false
  const serving = (): Place => servingIn(followed.decided(), scope)
  const isServing = (space: string) => serving().space === space

  const keep = (space: string): KeptSpace => {
    // The space that the platform began with has the names of the time when there was one.
    const instance = space === firstSpaceIn(followed.decided()) ? '' : space
    return keepSpace(space, {
      config,
      platform,
      followed,
      qdrant,
      runtime: {
        ...runtime,
        observer: watched(named(runtime.observer, instance), space),
        states: statesOf(instance, runtime.states, () => isServing(space)),
      },
      states: runtime.states,
      metrics,
      open,
      waiting: () => (isServing(space) ? 0 : (running.get(serving().space)?.engine()?.stats().queued ?? 0)),
      pace,
      keepIndexes: options.keepIndexes,
      log: log.child({ space }),
    })
  }

  /** Starts what is missing and stops what is not kept any more. Neither waits for the other. */
  const reconcile = (): void => {
    if (closed) return
    const kept = spacesKeptIn(followed.decided(), scope)
    for (const [space, each] of running) {
      if (kept.has(space)) continue
      running.delete(space)
      log.info({ space }, 'this space is not kept any more')
      each
        .close()
        .then(() => runtime.states.clearAll(`space ${space}`))
        .catch((error) => log.warn({ space, reason: reasonOf(error) }, 'while a space was let go of'))
    }
    for (const space of kept) if (!running.has(space)) running.set(space, keep(space))
  }
  reconcile()
  const unlisten = followed.listen(reconcile)

  return {
    started: running.get(serving().space)!.started,
    serving,
    low(partition) {
      const known = followed.published.of(partition).find(({ collection }) => collection === serving().collection)
      return known?.epoch === platform.epoch ? known.low : -1
    },
    missing: () => running.get(serving().space)?.missing() ?? null,
    async recheck() {
      await Promise.all([...running.values()].map((each) => each.recheck()))
    },
    async close() {
      closed = true
      unlisten()
      await Promise.all([...running.values()].map((each) => each.close()))
    },
  }
}
