import type {
  Assignment,
  Commit,
  Fetched,
  GroupConsumer,
  GroupOptions,
  Position,
  TopicPartition,
} from '../../streams/broker.ts'
import type { MemoryBroker } from '../../streams/brokers/memory.ts'
import { keyOf } from '../../streams/brokers/memory-group.ts'
import { NotOwner, Retry } from '../../streams/errors.ts'
import type { Network } from './network.ts'
import type { Actor } from './scheduler.ts'

export interface GroupWorld {
  readonly broker: MemoryBroker
  readonly network: Network
  readonly fetchBytesMax: number
  /** A fetch is handed on twice. */
  fetchRepeats(process: Actor): boolean
  committed(group: string, positions: readonly Position[]): void
  /** A process has heard that it lost partitions. */
  revoked(process: Actor): void
}

/** What the coordinator knows of a member: it can end without the member knowing. */
interface Session {
  /** By the member's own clock. */
  alive: boolean
  /** At the coordinator. */
  ended: boolean
  /** Grows with each rebalance: a commit of an earlier one is refused. */
  generation: number
  readonly consumer: Promise<GroupConsumer>
  member: GroupConsumer | null
}

type Notice =
  | { readonly kind: 'joined' }
  | {
      readonly kind: 'assigned'
      readonly assignment: Assignment
      resolve(start: number): void
      reject(e: unknown): void
    }

/**
 * A process's membership: the memory broker's group is the coordinator; this is what the member knows of it, which may be
 * old news. What the real one promises holds: while its session lasts a member has given up before anybody else is given a
 * partition; nothing is delivered and nothing committed once its own clock says that its session is over.
 */
export class GroupClient implements GroupConsumer {
  readonly joined: Promise<void>
  readonly #world: GroupWorld
  readonly #process: Actor
  readonly #options: GroupOptions
  readonly #owned = new Map<string, { readonly queue: Fetched[] }>()
  readonly #paused = new Set<string>()
  readonly #first = Promise.withResolvers<void>()
  #notices: Notice[] = []
  #session: Session | null = null
  #closed = false

  constructor(world: GroupWorld, process: Actor, options: GroupOptions) {
    this.#world = world
    this.#process = process
    this.#options = options
    this.joined = this.#first.promise
    this.#join()
  }

  get group(): string {
    return this.#options.group
  }

  #join(): void {
    const { network } = this.#world
    network.scheduler.add(this.#process, `join ${this.group}`, () => {
      if (this.#closed) return
      const handlers = {
        assigned: (assignment: Assignment) => this.#assigned(session, assignment),
        fetched: (fetched: Fetched) => this.#fetched(session, fetched),
        revoked: (lost: readonly TopicPartition[]) => this.#revoked(session, lost),
        failed: (error: Error) => this.#options.on.failed(error),
      }
      const consumer = this.#world.broker.consumeGroup({
        ...this.#options,
        fetchBytesMax: this.#world.fetchBytesMax,
        on: handlers,
      })
      const session: Session = { alive: true, ended: false, generation: 0, consumer, member: null }
      this.#session = session
      void consumer.then((member) => {
        session.member = member
        for (const key of this.#paused) member.pause(partitionOf(key))
        this.#notice(session, { kind: 'joined' })
      })
    })
  }

  /** The coordinator gives the member up; it does not know yet. */
  end(session = this.#session): void {
    if (session === null || session.ended) return
    session.ended = true
    void session.consumer.then((member) => member.close())
  }

  get ended(): boolean {
    return this.#session?.ended === true
  }

  /** The member's own clock says that its session is over; that it has lost all it is told later. */
  expire(): void {
    const session = this.#session
    if (session === null || !session.alive || this.#closed) return
    session.alive = false
    const { network } = this.#world
    network.scheduler.add(network.world, `a session of ${this.group} ends`, () => this.end(session))
    network.scheduler.add(this.#process, `session of ${this.group} is over`, () => {
      if (this.#session !== session || this.#closed) return
      // What the coordinator still has for the session that is over is for nobody.
      this.#session = null
      this.#notices = []
      this.#giveUp([...this.#owned.keys()].map(partitionOf))
      this.#join()
    })
  }

  #notice(session: Session, notice: Notice): void {
    if (this.#session !== session) return
    this.#notices.push(notice)
    this.#world.network.scheduler.add(this.#process, `${this.group}: news of the group`, () => this.#hear(session))
  }

  /** In order: the first that is not heard yet. */
  #hear(session: Session): void {
    if (this.#session !== session || this.#closed) return
    const notice = this.#notices.shift()
    if (notice?.kind === 'joined') this.#first.resolve()
    else if (notice?.kind === 'assigned' && session.alive) {
      const { assignment, resolve, reject } = notice
      const owned = { queue: [] }
      this.#owned.set(keyOf(assignment), owned)
      this.#options.on.assigned(assignment).then(resolve, (error) => {
        if (this.#owned.get(keyOf(assignment)) === owned) reject(error)
      })
    }
  }

  #assigned(session: Session, assignment: Assignment): Promise<number> {
    return new Promise((resolve, reject) => this.#notice(session, { kind: 'assigned', assignment, resolve, reject }))
  }

  #revoked(session: Session, lost: readonly TopicPartition[]): void {
    session.generation++
    if (this.#session !== session || this.#process.dead) return
    // Who does not answer is not waited for longer than its session; awake again, it hears that it is nobody.
    if (this.#process.frozen) return this.end()
    // What was to be assigned in the generation that ends is not.
    this.#notices = this.#notices.filter(({ kind }) => kind === 'joined')
    this.#giveUp(lost)
  }

  #giveUp(lost: readonly TopicPartition[]): void {
    const known = lost.filter((at) => this.#owned.delete(keyOf(at)))
    if (known.length === 0) return
    this.#world.revoked(this.#process)
    this.#options.on.revoked(known)
  }

  #fetched(session: Session, fetched: Fetched): void {
    if (this.#session !== session) return
    const owned = this.#owned.get(keyOf(fetched))
    if (owned === undefined) return
    const { network } = this.#world
    const times = this.#world.fetchRepeats(this.#process) ? 2 : 1
    for (let i = 0; i < times; i++) {
      owned.queue.push(fetched)
      network.scheduler.add(
        this.#process,
        `fetched ${keyOf(fetched)} ${fetched.from} to ${fetched.next}: ${fetched.records.length}`,
        () => this.#deliver(fetched, owned),
      )
    }
  }

  #deliver(at: TopicPartition, owned: { readonly queue: Fetched[] }): void {
    if (this.#closed || this.#owned.get(keyOf(at)) !== owned || this.#paused.has(keyOf(at))) return
    const fetched = owned.queue.shift()
    if (fetched !== undefined && this.#session?.alive) this.#options.on.fetched(fetched)
  }

  pause(at: TopicPartition): void {
    this.#paused.add(keyOf(at))
    this.#session?.member?.pause(at)
  }

  resume(at: TopicPartition): void {
    this.#paused.delete(keyOf(at))
    this.#session?.member?.resume(at)
    const owned = this.#owned.get(keyOf(at))
    for (const _ of owned?.queue ?? [])
      this.#world.network.scheduler.add(this.#process, `fetched ${keyOf(at)}`, () => this.#deliver(at, owned!))
  }

  seek(position: Position): void {
    this.#owned.get(keyOf(position))?.queue.splice(0)
    this.#session?.member?.seek(position)
  }

  id(): string {
    return this.#session?.member?.id() ?? ''
  }

  members(): Promise<readonly string[]> {
    const what = `members of ${this.group}`
    return this.#world.network.call(this.#process, {
      to: 'broker',
      what,
      effect: async () => (await this.#session?.member?.members()) ?? [],
      failure: () => new Retry(`${what}: the coordinator did not answer`),
    })
  }

  async commit(positions: readonly Commit[]): Promise<void> {
    const foreign = positions.find((at) => !this.owns(at))
    if (foreign !== undefined) throw new NotOwner(`${keyOf(foreign)} is not ours in group ${this.group}`)
    const session = this.#session!
    const { generation } = session
    const { network, committed } = this.#world
    const what = `commit ${positions.map((at) => `${keyOf(at)}@${at.offset}`).join(' ')}`
    await network.call(this.#process, {
      to: 'broker',
      what,
      effect: async () => {
        if (session.ended || session.generation !== generation) throw new NotOwner(`${this.group} has moved on`)
        await session.member!.commit(positions)
        committed(this.group, positions)
      },
      failure: () => new Retry(`${what}: the coordinator did not answer`),
    })
  }

  owns(at: TopicPartition): boolean {
    return !this.#closed && this.#session?.alive === true && this.#owned.has(keyOf(at))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.end()
    await this.#world.network.scheduler.turn(this.#process, `left ${this.group}`)
  }
}

const partitionOf = (key: string): TopicPartition => {
  const slash = key.lastIndexOf('/')
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) }
}
