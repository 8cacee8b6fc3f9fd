import type pino from 'pino'
import type { Qdrant } from '../../connectors/qdrant/client.ts'
import { ensureCollection } from '../../connectors/qdrant/collection.ts'
import { qdrantIndex } from '../../connectors/qdrant/vector-index.ts'
import { instanceOf, type Role, rolesIn } from '../../processors/collections.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { followProgress } from '../../processors/published-progress.ts'
import { type StandingWorld, standingIn } from '../../processors/standing.ts'
import type { Compare } from '../../processors/vector-index.ts'
import { control } from '../../schemas/topics.ts'
import { Changes } from '../../streams/changes.ts'
import { systemClock } from '../../streams/clock.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import type { Observer } from '../../streams/observer.ts'
import type { Runner, Runtime } from '../../streams/runner.ts'
import { type NamedState, States } from '../../streams/states.ts'
import { openTable } from '../../streams/table.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import type { Platform } from '../platform.ts'
import { pacer } from './pace.ts'

export interface Collections {
  /** Resolves when the one that answers is followed. */
  readonly started: Promise<void>
  /** The one that answers, now. */
  serving(): string
  /** Up to where the partition is in the one that answers; -1: nothing is known. */
  low(partition: number): number
  /** What is kept and does not run yet; null when all is as `control` says. */
  missing(): string | null
  /** As `Runner` has it. */
  recheck(): Promise<void>
  close(): Promise<void>
}

export interface CollectionsOptions {
  readonly platform: Platform
  readonly qdrant: Qdrant
  readonly dimensions: number
  readonly runtime: Runtime
  readonly recordsPerSecondMax: number
  compareIn(collection: string): Compare
  readonly log: pino.Logger
}

/** Runs one index-vectors for each collection that `control` says is to be kept, and follows what it says. */
export async function keepCollections(options: CollectionsOptions): Promise<Collections> {
  const { platform, runtime, log } = options
  const { broker, serde, scope } = platform
  const changes = new Changes()
  const shared = { broker, serde, scope, failed: runtime.failed }
  const published = await followProgress(shared, () => changes.tell())
  let roles: ReadonlyMap<string, Role> = new Map()
  const controlTable = await openTable(control, {
    ...shared,
    changed() {
      if (roles.size === 0) return
      roles = rolesIn(new Map(controlTable.entries()), scope)
      changes.tell()
      reconcile()
    },
  })
  await controlTable.sync()
  roles = rolesIn(new Map(controlTable.entries()), scope)
  let closed = false
  const pace = pacer(options.recordsPerSecondMax, systemClock)
  const running = new Map<string, Kept>()

  const worldOf = (collection: string): StandingWorld => ({
    collection,
    role: () => roles.get(collection) ?? { collection, serving: false, behind: null, filling: false },
    sync: () => published.sync(),
    progress: (partition) => published.of(partition),
    isTalkedOver: (partition) => published.isTalkedOver(collection, partition),
    changed: (signal) => changes.next(signal),
    pace,
  })

  /** Starts what is missing and stops what is not kept any more. Neither waits for the other. */
  const reconcile = (): void => {
    if (closed) return
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
  const missing = (): string | null => {
    const starting = [...running].find(([, kept]) => !kept.runs())
    return starting === undefined ? null : `the collection ${starting[0]} is not followed yet`
  }
  const serving = (): string => [...roles.values()].find((role) => role.serving)!.collection

  return {
    started: running.get(serving())!.started,
    serving,
    low(partition) {
      const known = published.of(partition).find(({ collection }) => collection === serving())
      return known?.epoch === platform.epoch ? known.low : -1
    },
    missing,
    async recheck() {
      await Promise.all([...running.values()].map((kept) => kept.recheck()))
    },
    async close() {
      closed = true
      await Promise.all([...running.values()].map((kept) => kept.close()))
      await Promise.all([controlTable.close(), published.close()])
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
  { platform, qdrant, dimensions, runtime, compareIn, log }: CollectionsOptions,
): Kept {
  const { collection, role } = world
  const { scope } = platform
  const stopped = new AbortController()
  const started = Promise.withResolvers<void>()
  const instance = instanceOf(collection, scope)
  const spec = { collection, space: scope.space, dimensions }
  let runner: Runner | null = null

  const run = async (): Promise<void> => {
    const failure = Promise.withResolvers<Error>()
    await ensureCollection(qdrant, spec)
    const index = qdrantIndex(qdrant, spec, () => !stopped.signal.aborted)
    const compare = compareIn(collection)
    const ports = { index, now: Date.now, markers: new Map(), compare, standing: standingIn(world) }
    const [begun] = await runTopology([stage(indexVectors, ports, instance)], {
      ...runtime,
      ...(instance !== '' && {
        observer: named(runtime.observer, instance),
        ...(runtime.states && { states: statesOf(instance, runtime.states, role) }),
      }),
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
    },
  }
}

const aborted = (signal: AbortSignal): Promise<null> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve(null)
    signal.addEventListener('abort', () => resolve(null))
  })

/** Another instance of a processor is another name in metrics and logs, as it is another group. */
function named(observer: Observer, instance: string): Observer {
  const name = <E extends { processor: string }>(event: E): E => ({
    ...event,
    processor: `${event.processor}.${instance}`,
  })
  return {
    handled: (event) => observer.handled(name(event)),
    moved: (event) => observer.moved(name(event)),
    retried: (event) => observer.retried(name(event)),
    lost: (event) => observer.lost(name(event)),
    task: (event) => observer.task(name(event)),
  }
}

/** The same states under the name of the instance; one that does not serve stands in nobody's way. */
function statesOf(instance: string, states: States, role: () => Role): States {
  const subjectOf = ({ subject }: NamedState): string => `${subject} (${instance})`
  return new States(Date.now, {
    began: (state) =>
      states.raise(state.name, subjectOf(state), state.detail, { blocking: state.blocking && role().serving }),
    ended: (state) => states.clear(state.name, subjectOf(state)),
  })
}

const AGAIN_MS = 200
const AGAIN_MS_MAX = 5_000
