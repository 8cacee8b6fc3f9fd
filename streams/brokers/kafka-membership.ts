import type { Commit, TopicPartition } from '../broker.ts'
import { systemClock } from '../clock.ts'
import { Fatal, NotOwner, Retry, reasonOf } from '../errors.ts'
import { ASSIGNER, deal, decodeAssignment, encodeSubscription, subscriptionOf } from './kafka-assignment.ts'
import type { Cluster, JoinedGroup, Log, Node } from './kafka-client.ts'
import { asInstruction, kafkaCodeOf } from './kafka-errors.ts'
import type { Link } from './kafka-link.ts'
import { byTopic } from './kafka-offsets.ts'

export interface MembershipOptions {
  readonly link: Link
  readonly log: Log
  readonly group: string
  readonly topics: readonly string[]
  readonly sessionTimeoutMs: number
  /** A new generation; also without any partition. */
  joined(partitions: readonly TopicPartition[]): void
  /** Everything is lost; called before the next `joined`, if there was one. */
  lost(): void
  failed(error: Error): void
}

/**
 * A member of a consumer group in the classic protocol, eager: heartbeats of its own (guard K10), a revocation before each rejoin
 * (guard K12), commits under the generation that they were asked in (guard K11), and a session that ends by our own clock
 * when the coordinator has not answered in time, as it does at the coordinator (a stopped process wakes up as nobody).
 */
export class Membership {
  readonly #options: MembershipOptions
  readonly #closing = new AbortController()
  readonly #run: Promise<void>
  #memberId = ''
  #generation = NO_GENERATION
  /** When the last request that the coordinator answered well was sent, by `performance.now()`. */
  #answeredAt = 0
  /** Seen to be over once, a session does not come back by a late answer: what was held back meanwhile is lost to it. */
  #sessionOver = false
  #coordinator: { cluster: Cluster; nodeId: number } | null = null
  readonly #faults: number[] = []

  constructor(options: MembershipOptions) {
    this.#options = options
    this.#run = this.#live()
  }

  /** Of the generation that we are in and whose session lasts. */
  get alive(): boolean {
    if (performance.now() - this.#answeredAt >= this.#options.sessionTimeoutMs) this.#sessionOver = true
    return this.#generation !== NO_GENERATION && !this.#sessionOver
  }

  get id(): string {
    return this.#memberId
  }

  /** Rejects with `NotOwner` if the group has moved on, with `Retry` if the coordinator cannot be reached. */
  async commit(positions: readonly Commit[]): Promise<void> {
    const generation = this.#generation
    const topics = byTopic(positions.map((at) => ({ ...at, offset: String(at.offset) })))
    for (let attempt = 1; ; attempt++) {
      if (!this.alive || generation !== this.#generation)
        throw new NotOwner(`group ${this.#options.group} has moved on`)
      try {
        const ids = { groupId: this.#options.group, groupGenerationId: generation, memberId: this.#memberId }
        await this.#ask((coordinator) => coordinator.offsetCommit({ ...ids, topics }))
        return
      } catch (error) {
        const code = kafkaCodeOf(error) ?? ''
        if (REBALANCING.has(code) || FORGOTTEN.has(code)) {
          throw Object.assign(new NotOwner(`group ${this.#options.group} has moved on`), { cause: error })
        }
        if (attempt === COMMIT_ATTEMPTS_MAX) throw asInstruction(error, 'committing offsets')
        await systemClock.wait(COMMIT_RETRY_MS * attempt)
      }
    }
  }

  async members(): Promise<readonly string[]> {
    const { group } = this.#options
    try {
      const { groups } = await this.#ask((coordinator) => coordinator.describeGroups({ groupIds: [group] }))
      return groups.flatMap(({ members }) => members.map(({ memberId }) => memberId))
    } catch (error) {
      throw asInstruction(error, `asking for the members of ${group}`)
    }
  }

  /** Leaves the group, so that the others need not wait for the session to end. */
  async close(): Promise<void> {
    this.#closing.abort()
    const patience = new AbortController()
    const tooLong = systemClock.wait(LEAVE_MS_MAX, patience.signal)
    const leave = async () => {
      await this.#run
      if (this.#memberId === '') return
      const ids = { groupId: this.#options.group, memberId: this.#memberId }
      await this.#ask((coordinator) => coordinator.leaveGroup(ids))
    }
    await Promise.race([leave(), tooLong]).catch((error) => {
      this.#options.log('debug', 'leaving the group failed', { group: this.#options.group, reason: reasonOf(error) })
    })
    patience.abort()
  }

  get #closed(): boolean {
    return this.#closing.signal.aborted
  }

  async #live(): Promise<void> {
    for (let failures = 0; !this.#closed; ) {
      try {
        await this.#join()
        failures = 0
        await this.#beat()
      } catch (error) {
        if (this.#closed) break
        const next = this.#next(error)
        if (next === 'end') break
        if (next === 'again') {
          failures = 0
          continue
        }
        failures++
        await this.#pause(Math.min(BACK_OFF_MS * 2 ** Math.min(failures, 5), BACK_OFF_MS_MAX))
      }
    }
    if (this.#closed) this.#generation = NO_GENERATION
  }

  /** What an error means for our life in the group. */
  #next(error: unknown): 'again' | 'later' | 'end' {
    const { group, log, link } = this.#options
    const code = kafkaCodeOf(error) ?? ''
    this.#lose()
    if (REBALANCING.has(code)) return 'again'
    log(error instanceof Retry ? 'warn' : 'debug', 'rejoining the group', { group, reason: reasonOf(error) })
    if (FORGOTTEN.has(code)) {
      this.#memberId = ''
      return 'again'
    }
    link.drop()
    this.#coordinator = null
    const instruction = asInstruction(error, `joining group ${group}`)
    if (!(instruction instanceof Fatal) && !this.#isFault(error)) return 'later'
    this.#options.failed(instruction)
    return 'end'
  }

  /** A bug, ours or kafkajs's, shows as an error of JavaScript: too many of them end it (guard K7). */
  #isFault(error: unknown): boolean {
    if (!(error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError)) return false
    const now = performance.now()
    this.#faults.push(now)
    return this.#faults.filter((at) => now - at < FAULTS_WITHIN_MS).length > FAULTS_MAX
  }

  async #join(): Promise<void> {
    const { link, group, topics, sessionTimeoutMs } = this.#options
    const cluster = await link.cluster()
    const coordinator = await cluster.findGroupCoordinator({ groupId: group })
    this.#coordinator = { cluster, nodeId: coordinator.nodeId }
    const joined = await coordinator.joinGroup({
      groupId: group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: Math.max(sessionTimeoutMs, REBALANCE_MS_MIN),
      memberId: this.#memberId,
      groupProtocols: [{ name: ASSIGNER, metadata: encodeSubscription(topics) }],
    })
    this.#memberId = joined.memberId
    if (this.#closed) return
    const sentAt = performance.now()
    const synced = await coordinator.syncGroup({
      groupId: group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: joined.leaderId === joined.memberId ? await this.#deal(cluster, joined) : [],
    })
    if (this.#closed) return
    this.#generation = joined.generationId
    this.#answeredAt = sentAt
    this.#sessionOver = false
    const partitions = decodeAssignment(synced.memberAssignment)
    this.#options.log('debug', 'joined the group', { group, generation: joined.generationId, partitions })
    this.#options.joined(partitions)
  }

  async #deal(cluster: Cluster, { members }: JoinedGroup) {
    const subscribed = members.map(({ memberId, memberMetadata }) => ({
      memberId,
      topics: subscriptionOf(memberMetadata),
    }))
    await cluster.addMultipleTargetTopics([...new Set(subscribed.flatMap(({ topics }) => topics))])
    await cluster.refreshMetadata()
    return deal(subscribed, (topic) =>
      cluster
        .findTopicPartitionMetadata(topic)
        .map(({ partitionId }) => partitionId)
        .sort((a, b) => a - b),
    )
  }

  /** Until the group rebalances or forgets us. A coordinator out of reach is asked again until the session is over. */
  async #beat(): Promise<void> {
    const { group, sessionTimeoutMs } = this.#options
    while (!this.#closed) {
      await this.#pause(Math.min(HEARTBEAT_EVERY_MS, sessionTimeoutMs / 3))
      if (this.#closed) return
      if (!this.alive) throw new Retry(`no answer from the coordinator for ${sessionTimeoutMs} ms: the session is over`)
      const sentAt = performance.now()
      try {
        const ids = { groupId: group, groupGenerationId: this.#generation, memberId: this.#memberId }
        await this.#ask((coordinator) => coordinator.heartbeat(ids))
        this.#answeredAt = sentAt
      } catch (error) {
        const code = kafkaCodeOf(error) ?? ''
        if (REBALANCING.has(code) || FORGOTTEN.has(code) || asInstruction(error, '') instanceof Fatal) throw error
      }
    }
  }

  /** The coordinator is looked for once; after a fault that is not of the group itself, on a new connection. */
  async #ask<T>(request: (coordinator: Node) => Promise<T>): Promise<T> {
    const { link, group } = this.#options
    const cluster = await link.cluster()
    try {
      if (this.#coordinator?.cluster !== cluster) {
        const { nodeId } = await cluster.findGroupCoordinator({ groupId: group })
        this.#coordinator = { cluster, nodeId }
      }
      return await request(await cluster.findBroker({ nodeId: this.#coordinator.nodeId }))
    } catch (error) {
      const code = kafkaCodeOf(error) ?? ''
      if (!REBALANCING.has(code) && !FORGOTTEN.has(code)) {
        this.#coordinator = null
        link.drop(cluster)
      }
      throw error
    }
  }

  #lose(): void {
    if (this.#generation === NO_GENERATION) return
    this.#generation = NO_GENERATION
    this.#options.lost()
  }

  async #pause(ms: number): Promise<void> {
    await systemClock.wait(ms, this.#closing.signal)
  }
}

const NO_GENERATION = -1
/** A rebalance is noticed by the next heartbeat, so this is how long it takes to begin. */
const HEARTBEAT_EVERY_MS = 500
const REBALANCE_MS_MIN = 10_000
const BACK_OFF_MS = 50
const BACK_OFF_MS_MAX = 2_000
const COMMIT_ATTEMPTS_MAX = 4
const COMMIT_RETRY_MS = 100
const LEAVE_MS_MAX = 3_000
const FAULTS_MAX = 5
const FAULTS_WITHIN_MS = 5 * 60_000
const REBALANCING = new Set(['REBALANCE_IN_PROGRESS', 'ILLEGAL_GENERATION'])
const FORGOTTEN = new Set(['UNKNOWN_MEMBER_ID', 'FENCED_INSTANCE_ID', 'MEMBER_ID_REQUIRED'])
