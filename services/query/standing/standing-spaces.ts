import { vectors } from '../../../schemas/topics.ts'
import type { Clock } from '../../../streams/clock.ts'
import type { Platform } from '../../platform.ts'
import type { Principal } from '../../principal.ts'
import type { FreshnessFollower } from '../freshness-follower.ts'
import { OperationError, type SubscribeMessage } from '../protocol.ts'
import type { Serving, ServingFollower } from '../serving.ts'
import { type Changes, followChanges } from './changes.ts'
import { type StandingPorts, StandingQueries } from './standing-queries.ts'
import { AnsweredElsewhere } from './standing-query.ts'

export interface StandingSpacesPorts extends Pick<StandingPorts, 'standingMax' | 'evaluated' | 'attributes'> {
  readonly platform: Pick<Platform, 'broker' | 'outside' | 'scope' | 'epochs'>
  readonly partitions: number
  readonly serving: ServingFollower
  readonly freshness: FreshnessFollower
  readonly clock: Clock
  failed(error: Error): void
}

/** What a space has: its standing queries, and what tells them of changes. */
interface Of {
  readonly standing: StandingQueries
  readonly changes: Changes
  /** The collection that it is told about. */
  collection: string
  /** Tells it of progress no more. */
  unhear(): void
}

/**
 * The standing queries of a process, a set for each space that answers somebody: they are compared with vectors of that space. Whoever is answered by
 * another space from one moment on is moved over: a new epoch, and a snapshot.
 */
export class StandingSpaces {
  readonly #ports: StandingSpacesPorts
  readonly #spaces = new Map<string, Promise<Of>>()
  readonly #open = new Map<string, Of>()
  #closed = false

  constructor(ports: StandingSpacesPorts) {
    this.#ports = ports
    ports.serving.switched(() => this.#switched())
    ports.platform.epochs.changed(() => {
      for (const { changes } of this.#open.values()) changes.switched()
    })
  }

  get size(): number {
    return this.#sum(({ size }) => size)
  }

  get behind(): number {
    return this.#sum(({ behind }) => behind)
  }

  /** As `StandingQueries` has it, in the space that answers the principal. */
  async open(message: SubscribeMessage, principal: Principal, signal: AbortSignal) {
    for (;;) {
      const serving = this.#ports.serving.of(principal)
      const { standing } = await this.#of(serving)
      if (this.#closed) throw new OperationError('unavailable', 'the service is going away; subscribe again')
      const opened = await standing.open(message, principal, signal)
      if (this.#ports.serving.of(principal).space === serving.space) return opened
      opened.leave()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#spaces.values()].map((of) => of.then(end)))
  }

  #sum(of: (standing: StandingQueries) => number): number {
    return [...this.#open.values()].reduce((sum, { standing }) => sum + of(standing), 0)
  }

  #of(serving: Serving): Promise<Of> {
    const { space } = serving
    const known = this.#spaces.get(space) ?? this.#begin(serving)
    this.#spaces.set(space, known)
    known.catch(() => this.#spaces.delete(space))
    return known
  }

  async #begin({ space, collection, engine }: Serving): Promise<Of> {
    const { platform, partitions, serving, freshness, attributes, clock, standingMax, evaluated, failed } = this.#ports
    const { broker, outside } = platform
    const scope = { ...platform.scope, space }
    const serde = outside.serde(scope)
    await serde.register([vectors])
    /** A query that is embedded in this space is asked of no other. */
    const own: StandingPorts['serving'] = {
      now() {
        const present = serving.all().find((each) => each.space === space)
        if (present === undefined) throw new AnsweredElsewhere()
        return present
      },
      sync: serving.sync,
    }
    const standing: StandingQueries = new StandingQueries({
      engine,
      serving: own,
      freshness,
      attributes,
      clock,
      standingMax,
      elsewhere: () => this.size - standing.size,
      evaluated,
    })
    const changes = await followChanges({ broker, serde, scope }, partitions, standing, failed)
    const of: Of = { standing, changes, collection, unhear: () => {} }
    of.unhear = this.#hear(of)
    this.#open.set(space, of)
    if (this.#closed) await end(of)
    return of
  }

  #hear(of: Of): () => void {
    return this.#ports.freshness.progressed((progress) => {
      if (progress.collection === of.collection) of.changes.progressed(progress)
    })
  }

  #switched(): void {
    const { serving } = this.#ports
    const answering = new Map(serving.all().map((each) => [each.space, each]))
    for (const [space, of] of this.#open) {
      of.standing.leave((by) => serving.of(by).space !== space)
      const present = answering.get(space)
      if (present === undefined) {
        this.#spaces.delete(space)
        this.#open.delete(space)
        void end(of)
      } else if (present.collection !== of.collection) {
        of.unhear()
        of.collection = present.collection
        of.changes.switched()
        of.unhear = this.#hear(of)
      }
    }
  }
}

async function end({ standing, changes, unhear }: Of): Promise<void> {
  unhear()
  standing.close()
  await changes.close()
}
