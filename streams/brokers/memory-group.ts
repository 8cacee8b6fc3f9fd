import type { Assignment, Commit, GroupConsumer, GroupOptions, Position, TopicPartition } from '../broker.ts'
import { NotOwner } from '../errors.ts'
import type { Cursor, Delivery, Turn } from './memory-delivery.ts'
import type { Faults } from './memory-faults.ts'
import type { PartitionLog } from './memory-log.ts'

export interface GroupContext {
  readonly delivery: Delivery
  readonly faults: Faults
  readonly turn: Turn
  logs(topic: string): readonly PartitionLog[]
}

/** A consumer group with Kafka's eager rebalance: everybody gives up everything, then partitions are dealt out anew. */
export class Group {
  readonly name: string
  readonly committed = new Map<string, { offset: number; metadata: string }>()
  readonly members: Member[] = []
  joins = 0
  readonly #context: GroupContext
  #rebalanceAsked = false
  /** Turns may come in any order: what was dealt in an earlier generation is nobody's. */
  #generation = 0

  constructor(name: string, context: GroupContext) {
    this.name = name
    this.#context = context
  }

  join(options: GroupOptions): Promise<GroupConsumer> {
    return new Promise((resolve) => {
      const member = new Member(this, this.#context, options, resolve)
      this.members.push(member)
      this.rebalance()
    })
  }

  leave(member: Member): void {
    const at = this.members.indexOf(member)
    if (at < 0) return
    this.members.splice(at, 1)
    member.drop()
    this.rebalance()
  }

  /** In a later turn of the event loop; asked for twice before that, it happens once. */
  rebalance(): void {
    if (this.#rebalanceAsked) return
    this.#rebalanceAsked = true
    const nextTurn = () => new Promise<void>((resolve) => this.#context.turn(resolve))
    void this.#context.delivery.during(async () => {
      await nextTurn()
      this.#rebalanceAsked = false
      const generation = ++this.#generation
      const members = [...this.members]
      for (const member of members) member.revoke()
      const dealt = this.#deal(members)
      for (const member of members) member.joined()
      await nextTurn()
      for (const [member, logs] of dealt)
        if (this.members.includes(member) && !this.#rebalanceAsked && generation === this.#generation)
          member.assign(logs)
    })
  }

  #deal(members: readonly Member[]): Map<Member, PartitionLog[]> {
    const dealt = new Map<Member, PartitionLog[]>(members.map((member) => [member, []]))
    const topics = new Set(members.flatMap(({ topics }) => topics))
    let turn = 0
    for (const topic of [...topics].sort()) {
      const takers = members.filter((member) => member.topics.includes(topic))
      for (const log of this.#context.logs(topic)) dealt.get(takers[turn++ % takers.length]!)!.push(log)
    }
    return dealt
  }
}

interface Reading extends Cursor {
  started: boolean
}

class Member implements GroupConsumer {
  readonly name: string
  readonly #group: Group
  readonly #context: GroupContext
  readonly #options: GroupOptions
  readonly #owned = new Map<string, Reading>()
  readonly #paused = new Set<string>()
  #resolveJoin: ((consumer: GroupConsumer) => void) | null
  #closed = false

  constructor(
    group: Group,
    context: GroupContext,
    options: GroupOptions,
    resolveJoin: (consumer: GroupConsumer) => void,
  ) {
    this.name = `member-${group.joins++}`
    this.#group = group
    this.#context = context
    this.#options = options
    this.#resolveJoin = resolveJoin
  }

  get topics(): readonly string[] {
    return this.#options.topics
  }

  /** The caller has its consumer before any partition is assigned to it. */
  joined(): void {
    this.#resolveJoin?.(this)
    this.#resolveJoin = null
  }

  revoke(): void {
    const lost = [...this.#owned.values()].map(({ log: { topic, partition } }) => ({ topic, partition }))
    this.drop()
    if (lost.length > 0) this.#options.on.revoked(lost)
  }

  assign(logs: readonly PartitionLog[]): void {
    for (const cursor of logs.map((log) => this.#own(log))) {
      void this.#context.delivery.during(() => this.#start(cursor))
    }
  }

  #own(log: PartitionLog): Reading {
    const key = keyOf(log)
    const cursor: Reading = {
      log,
      bytesMax: this.#options.fetchBytesMax ?? FETCH_BYTES_MAX,
      next: 0,
      told: -1,
      started: false,
      active: () => cursor.started && !this.#paused.has(key),
      deliver: (fetched) => this.#options.on.fetched(fetched),
      outOfRange: () => this.#assignAnew(cursor),
    }
    this.#owned.set(key, cursor)
    this.#context.delivery.add(cursor)
    return cursor
  }

  /** The log was cut: the owner is told as of a new assignment, and decides. */
  #assignAnew(cursor: Reading): void {
    const { topic, partition } = cursor.log
    this.#context.delivery.remove(cursor)
    this.#owned.delete(keyOf(cursor.log))
    this.#options.on.revoked([{ topic, partition }])
    this.assign([cursor.log])
  }

  async #start(cursor: Reading): Promise<void> {
    const { topic, partition, start, end } = cursor.log
    const { offset: committed = null, metadata = '' } = this.#group.committed.get(keyOf(cursor.log)) ?? {}
    const assignment: Assignment = { topic, partition, committed, metadata, start, end }
    try {
      const next = await this.#options.on.assigned(assignment)
      if (this.#owned.get(keyOf(cursor.log)) !== cursor) return
      // A seek made meanwhile is younger than the answer.
      if (!cursor.started) cursor.next = next
      cursor.started = true
      this.#context.delivery.wake()
    } catch (error) {
      if (this.#owned.get(keyOf(cursor.log)) === cursor) this.#options.on.failed(error as Error)
    }
  }

  /** Nothing is ours any more, and nobody is told. */
  drop(): void {
    for (const cursor of this.#owned.values()) this.#context.delivery.remove(cursor)
    this.#owned.clear()
  }

  owns(partition: TopicPartition): boolean {
    return this.#owned.has(keyOf(partition))
  }

  pause(partition: TopicPartition): void {
    this.#paused.add(keyOf(partition))
  }

  resume(partition: TopicPartition): void {
    this.#paused.delete(keyOf(partition))
    this.#context.delivery.wake()
  }

  seek({ offset, ...partition }: Position): void {
    const cursor = this.#owned.get(keyOf(partition))
    if (cursor === undefined) return
    cursor.next = offset
    cursor.told = -1
    this.#context.delivery.wake()
  }

  async commit(positions: readonly Commit[]): Promise<void> {
    this.#assertOwned(positions)
    await this.#context.faults.beforeOffsetCommit?.(this.#group.name, positions)
    this.#assertOwned(positions)
    for (const { offset, metadata = '', ...at } of positions) this.#group.committed.set(keyOf(at), { offset, metadata })
    await this.#context.faults.afterOffsetCommit?.(this.#group.name, positions)
  }

  id(): string {
    return this.name
  }

  async members(): Promise<readonly string[]> {
    return this.#group.members.map(({ name }) => name)
  }

  #assertOwned(positions: readonly Position[]): void {
    const foreign = positions.find((position) => this.#closed || !this.owns(position))
    if (foreign !== undefined) throw new NotOwner(`${keyOf(foreign)} is not ours in group ${this.#group.name}`)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#group.leave(this)
  }
}

export const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const FETCH_BYTES_MAX = 1024 * 1024
