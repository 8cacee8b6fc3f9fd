import type pino from 'pino'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { ensureCollection } from '../../connectors/qdrant/collection.ts'
import { qdrantIndex } from '../../connectors/qdrant/vector-index.ts'
import { instanceOf, rolesIn, spaceOfCollection, standsFor } from '../../processors/collections.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { type StandingWorld, standingIn } from '../../processors/standing.ts'
import type { Compare } from '../../processors/vector-index.ts'
import { systemClock } from '../../streams/clock.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import type { Low } from '../../streams/low.ts'
import type { Runner, Runtime } from '../../streams/runner.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import { aborted } from './aborted.ts'
import type { Followed } from './followed.ts'
import { named, statesOf } from './instances.ts'

/** The collections of one space. */
export interface Collections {
  /** Resolves when the one that answers is followed; where none of this space does, the one that stands for it. */
  readonly started: Promise<void>
  /** What is kept and does not run yet; null when all is as `control` says. */
  missing(): string | null
  /** As `Runner` has it. */
  recheck(): Promise<void>
  close(): Promise<void>
}

export interface CollectionsOptions {
  /** `scope` and `serde` are the space's. */
  readonly runtime: Runtime
  readonly followed: Followed
  readonly qdrant: Qdrant
  readonly dimensions: number
  /** As `StandingWorld` has them. */
  end(partition: number): Promise<Low>
  pace(records: number, signal: AbortSignal): Promise<void>
  compareIn(collection: string): Compare
  /** Keeps what is indexed beside the points. Begun when the collection is there; ends with the signal and never rejects. */
  keepIndexes(collection: string, signal: AbortSignal): Promise<void>
  readonly log: pino.Logger
}

/** Runs one index-vectors for each collection of the space that `control` says is to be kept, and follows what it says. */
export function keepCollections(options: CollectionsOptions): Collections {
  const { runtime, followed, log, pace } = options
  const { scope } = runtime
  const { published } = followed
  let roles = rolesIn(followed.decided(), scope)
  let closed = false
  const running = new Map<string, Kept>()

  const sharesLog = (collection: string): boolean => spaceOfCollection(collection, scope.prefix) === scope.space
  const worldOf = (collection: string): StandingWorld => ({
    collection,
    role: () => roles.get(collection) ?? { collection, serving: false, behind: null, filling: false },
    sync: () => published.sync(),
    progress: (partition) => published.of(partition).filter((each) => sharesLog(each.collection)),
    elsewhere: (partition) => published.of(partition).filter((each) => !sharesLog(each.collection)),
    sharesLog,
    end: options.end,
    isTalkedOver: (partition) => published.isTalkedOver(collection, partition),
    changed: followed.changed,
    pace,
  })

  /** Starts what is missing and stops what is not kept any more. Neither waits for the other. */
  const reconcile = (): void => {
    if (closed) return
    roles = rolesIn(followed.decided(), scope)
    for (const [collection, kept] of running) {
      if (roles.has(collection)) continue
      running.delete(collection)
      log.info({ collection }, 'this collection is not kept any more')
      void kept.close()
    }
    for (const role of roles.values()) {
      if (running.has(role.collection)) continue
      log.info({ ...role }, 'keeping a collection')
      running.set(role.collection, keep(worldOf(role.collection), options))
    }
  }
  reconcile()
  const unlisten = followed.listen(reconcile)

  return {
    started: running.get(standsFor(followed.decided(), scope))?.started ?? Promise.resolve(),
    missing() {
      const starting = [...running].find(([, kept]) => !kept.runs())
      return starting === undefined ? null : `the collection ${starting[0]} is not followed yet`
    },
    async recheck() {
      await Promise.all([...running.values()].map((kept) => kept.recheck()))
    },
    async close() {
      closed = true
      unlisten()
      await Promise.all([...running.values()].map((kept) => kept.close()))
    },
  }
}

interface Kept {
  /** Resolves when it runs for the first time. */
  readonly started: Promise<void>
  runs(): boolean
  recheck(): Promise<void>
  close(): Promise<void>
}

/** One index-vectors, begun again when it fails; that of the collection that serves ends the process. */
function keep(
  world: StandingWorld,
  { qdrant, dimensions, runtime, compareIn, keepIndexes, log }: CollectionsOptions,
): Kept {
  const { collection, role } = world
  const { scope } = runtime
  const stopped = new AbortController()
  const started = Promise.withResolvers<void>()
  const instance = instanceOf(collection, scope)
  const spec = { collection, space: scope.space, dimensions }
  let runner: Runner | null = null
  let indexes: Promise<void> | null = null

  const run = async (): Promise<void> => {
    const failure = Promise.withResolvers<Error>()
    await ensureCollection(qdrant, spec)
    // Searches are right without them, only slower: nothing waits for them.
    indexes ??= keepIndexes(collection, stopped.signal)
    const index = qdrantIndex(qdrant, spec, () => !stopped.signal.aborted)
    const compare = compareIn(collection)
    const ports = { index, now: Date.now, markers: new Map(), compare, standing: standingIn(world) }
    const [begun] = await runTopology([stage(indexVectors, ports, instance)], {
      ...runtime,
      observer: named(runtime.observer, instance),
      ...(runtime.states && { states: statesOf(instance, runtime.states, () => role().serving) }),
      failed: failure.resolve,
    })
    runner = begun!
    started.resolve()
    for (const line of describeTopology([indexVectors], scope, instance)) log.info(line)
    const error = await Promise.race([failure.promise, aborted(stopped.signal)])
    await begun!.close()
    runner = null
    if (error !== null) throw error
  }

  const running = (async () => {
    for (let attempt = 1; !stopped.signal.aborted; attempt++) {
      try {
        await run()
      } catch (error) {
        if (stopped.signal.aborted) return
        if (role().serving && !(error instanceof Retry)) return runtime.failed(error as Error)
        log.warn({ collection, attempt, reason: reasonOf(error) }, 'this collection is not followed; trying again')
        await systemClock.wait(Math.min(AGAIN_MS * 2 ** Math.min(attempt, 5), AGAIN_MS_MAX), stopped.signal)
      }
    }
  })()

  return {
    started: started.promise,
    runs: () => runner !== null,
    recheck: async () => runner?.recheck(),
    async close() {
      stopped.abort()
      // What has not begun yet ends as soon as it has.
      if (runner !== null) await running
      await indexes
    },
  }
}

const AGAIN_MS = 200
const AGAIN_MS_MAX = 5_000
