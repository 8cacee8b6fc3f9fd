import type { Engine } from '../engine/embedder.ts'
import { type ControlRecords, servingIn, spaceKey, spacesKeptIn } from '../processors/collections.ts'
import type { SpaceModel } from '../schemas/records.ts'
import type { Clock } from '../streams/clock.ts'
import { Fatal, reasonOf } from '../streams/errors.ts'
import type { States } from '../streams/states.ts'
import type { Scope } from '../streams/topic.ts'
import type { ControlFollower } from './control-follower.ts'

/** The engines of all spaces that `control` says are to be kept: opened when a space is named, closed when it is not kept any more. */
export interface SpaceEngines {
  /** null: not opened yet, or cannot be. */
  of(space: string): Engine | null
  /** Those that are open. */
  open(): readonly string[]
  /** Told whenever one was opened, and before one is closed. */
  changed(listener: () => void): void
  close(): Promise<void>
}

export interface SpaceEnginesOptions {
  readonly control: Pick<ControlFollower, 'entries' | 'changed'>
  readonly scope: Scope
  /** One that is open already. */
  readonly first: Engine | null
  /** Makes the engine of a model. Rejects when it cannot: it is tried again. */
  readonly openModel: (model: Pick<SpaceModel, 'model' | 'version'>) => Promise<Engine>
  readonly states: States
  readonly log: { info(facts: object, message: string): void; warn(facts: object, message: string): void }
  readonly clock: Clock
}

/**
 * Resolves when the space that serves is open. `openConfigured` makes the engine that the configuration names; where that serves and does not
 * work, it rejects.
 */
export async function openSpaceEngines({
  openConfigured,
  configured,
  ...options
}: Omit<SpaceEnginesOptions, 'first'> & {
  configured: string
  openConfigured(): Promise<Engine>
}): Promise<SpaceEngines> {
  const { space } = servingIn(new Map(options.control.entries()), options.scope)
  const first = space === configured ? await openConfigured() : null
  const engines = followSpaceEngines({ ...options, first })
  if (first === null)
    options.log.info(
      { space, configured },
      'another space serves than that of the configured model, with which a platform begins',
    )
  while (engines.of(space) === null) await new Promise<void>((resolve) => engines.changed(resolve))
  return engines
}

/** A space that cannot be opened does not hurt the others: a state says so, which keeps the role from being ready only if that space serves. */
export function followSpaceEngines({
  control,
  scope,
  first,
  openModel,
  states,
  log,
  clock,
}: SpaceEnginesOptions): SpaceEngines {
  const engines = new Map<string, Engine>(first === null ? [] : [[first.space.id, first]])
  const opening = new Set<string>()
  const listeners: (() => void)[] = []
  const closed = new AbortController()
  const records = (): ControlRecords => new Map(control.entries())
  const isKept = (space: string): boolean => spacesKeptIn(records(), scope).has(space)
  const tell = () => {
    for (const listener of listeners) listener()
  }

  const open = async (space: string): Promise<void> => {
    const subject = `space ${space}`
    for (let attempt = 1; isKept(space) && !closed.signal.aborted; attempt++) {
      try {
        const engine = await modelOf(space, records(), openModel)
        if (closed.signal.aborted || !isKept(space)) return await engine.close()
        engines.set(space, engine)
        log.info({ space, model: engine.space.model }, 'the model of this space is open')
        return tell()
      } catch (error) {
        const blocking = servingIn(records(), scope).space === space
        states.raise('model-unavailable', subject, reasonOf(error), { blocking })
        log.warn({ space, attempt, reason: reasonOf(error) }, 'the model of this space cannot be opened; trying again')
        await clock.wait(Math.min(AGAIN_MS * 2 ** attempt, AGAIN_MS_MAX), closed.signal)
      } finally {
        if (engines.has(space) || !isKept(space)) states.clear('model-unavailable', subject)
      }
    }
  }
  const look = (): void => {
    const kept = spacesKeptIn(records(), scope)
    for (const space of kept) {
      if (engines.has(space) || opening.has(space)) continue
      opening.add(space)
      void open(space).finally(() => opening.delete(space))
    }
    for (const [space, engine] of engines) {
      if (kept.has(space)) continue
      engines.delete(space)
      tell()
      log.info({ space }, 'this space is not kept any more')
      // What is under way with it ends first.
      void clock.wait(LEAVE_MS, closed.signal).then(() => engine.close())
    }
  }
  control.changed(look)
  look()

  return {
    of: (space) => engines.get(space) ?? null,
    open: () => [...engines.keys()],
    changed: (listener) => void listeners.push(listener),
    async close() {
      closed.abort()
      await Promise.all([...engines.values()].map((engine) => engine.close()))
    },
  }
}

/** Rejects with what is wrong, in words. */
async function modelOf(
  space: string,
  records: ControlRecords,
  openModel: SpaceEnginesOptions['openModel'],
): Promise<Engine> {
  const known = records.get(spaceKey(space))?.space ?? null
  if (known === null)
    throw new Fatal(`control names the space ${space} and not the model that makes it (${spaceKey(space)})`)
  const engine = await openModel(known)
  if (engine.space.id === space) return engine
  await engine.close()
  throw new Fatal(
    `control says that ${known.model}@${known.version} makes the space ${space}, and here it makes ${engine.space.id}: other files, or another version of Freshet; put the same ones on every machine`,
  )
}

const AGAIN_MS = 500
const AGAIN_MS_MAX = 60_000
/** Longer than a search or a batch is at work with an engine. */
const LEAVE_MS = 30_000
