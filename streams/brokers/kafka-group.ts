import { setTimeout as sleep } from 'node:timers/promises'
import type { Assignment, GroupConsumer, GroupOptions, Position, TopicPartition } from '../broker.ts'
import { NotOwner, Retry, reasonOf } from '../errors.ts'
import type { KafkaOptions, Log } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'
import { Fetcher } from './kafka-fetcher.ts'
import { Link } from './kafka-link.ts'
import { Membership } from './kafka-membership.ts'
import { committedOffsets, keyOf, logRanges } from './kafka-offsets.ts'

/** Resolves when the group has assigned partitions for the first time; rejects with `Retry` if the topics cannot be found. */
export async function consumeGroup(
  kafka: KafkaOptions & { readonly log: Log },
  options: GroupOptions,
): Promise<GroupConsumer> {
  const link = new Link(kafka, options.topics)
  try {
    await link.cluster()
  } catch (error) {
    link.close()
    throw asInstruction(error, `subscribing to ${options.topics.join(', ')}`)
  }
  return new Promise((resolve, reject) => {
    const consumer = new KafkaGroupConsumer(link, kafka.log, options, {
      joined: () => resolve(consumer),
      failed: reject,
    })
  })
}

class KafkaGroupConsumer implements GroupConsumer {
  readonly #link: Link
  readonly #log: Log
  readonly #options: GroupOptions
  readonly #membership: Membership
  readonly #fetcher: Fetcher
  readonly #first: { joined(): void; failed(error: Error): void }
  /** What is ours, with the number of its assignment: an answer to an earlier one is not heard (guard K11). */
  readonly #owned = new Map<string, { at: TopicPartition; assignment: number }>()
  /** Our own table, put into force at each assignment (guard K13). */
  readonly #paused = new Set<string>()
  #assignments = 0
  #closed = false

  constructor(link: Link, log: Log, options: GroupOptions, first: { joined(): void; failed(error: Error): void }) {
    this.#link = link
    this.#log = log
    this.#options = options
    this.#first = first
    const { fetchBytesMax, fetchWaitMs } = options
    this.#fetcher = new Fetcher({
      link,
      log,
      ...(fetchBytesMax !== undefined && { fetchBytesMax }),
      ...(fetchWaitMs !== undefined && { fetchWaitMs }),
      fetched: (batch) => {
        // A session that is over is another's already, told or not.
        if (this.#membership.alive) this.#options.on.fetched(batch)
      },
      outOfRange: (at) => this.#outOfRange(at),
      failed: (error) => this.#fail(error),
    })
    this.#membership = new Membership({
      link,
      log,
      group: options.group,
      topics: options.topics,
      sessionTimeoutMs: options.sessionTimeoutMs ?? SESSION_TIMEOUT_MS,
      joined: (partitions) => this.#joined(partitions),
      lost: () => this.#revoke([...this.#owned.values()].map(({ at }) => at)),
      failed: (error) => this.#fail(error),
    })
  }

  #joined(partitions: readonly TopicPartition[]): void {
    this.#first.joined()
    const assignments = partitions.map((at) => this.#own(at))
    // The caller has its consumer before the first partition is assigned to it.
    setImmediate(() => {
      for (const owned of assignments) void this.#start(owned)
    })
  }

  #own(at: TopicPartition) {
    const owned = { at, assignment: ++this.#assignments }
    this.#owned.set(keyOf(at), owned)
    return owned
  }

  async #start({ at, assignment }: { at: TopicPartition; assignment: number }): Promise<void> {
    const ours = () => !this.#closed && this.#owned.get(keyOf(at))?.assignment === assignment
    try {
      const assigned = await this.#lookUp(at, ours)
      if (!ours()) return
      const offset = await this.#options.on.assigned(assigned)
      if (!ours()) return
      this.#fetcher.add({ ...at, offset }, { paused: this.#paused.has(keyOf(at)) })
    } catch (error) {
      if (ours()) this.#fail(error as Error)
    }
  }

  /** Committed offset and range of the log (guard K14: whoever starts compares them). Again and again while Kafka does not answer. */
  async #lookUp(at: TopicPartition, ours: () => boolean): Promise<Assignment> {
    for (let attempt = 1; ; attempt++) {
      try {
        const cluster = await this.#link.cluster()
        const [[range], [committed]] = await Promise.all([
          logRanges(cluster, [at]),
          committedOffsets(cluster, this.#options.group, [at]),
        ])
        return { ...at, committed: committed?.offset ?? null, start: range!.start, end: range!.end }
      } catch (error) {
        const instruction = asInstruction(error, `looking up ${keyOf(at)}`)
        if (!(instruction instanceof Retry) || !ours()) throw instruction
        this.#log('debug', 'looking up a partition failed', { ...at, attempt, reason: reasonOf(error) })
        if (attempt % LOOK_UPS_BEFORE_RECONNECT === 0) this.#link.drop()
        await sleep(Math.min(LOOK_UP_RETRY_MS * attempt, LOOK_UP_RETRY_MS_MAX))
      }
    }
  }

  /** The log was cut, or is another one: never silent (guard K14), the owner is told as of a new assignment and decides. */
  #outOfRange(at: Position): void {
    this.#log('warn', 'an offset is not in the log any more; the partition is assigned anew', { ...at })
    this.#revoke([at])
    void this.#start(this.#own({ topic: at.topic, partition: at.partition }))
  }

  #revoke(lost: readonly TopicPartition[]): void {
    for (const at of lost) {
      this.#owned.delete(keyOf(at))
      this.#fetcher.remove(at)
    }
    if (lost.length > 0 && !this.#closed) {
      this.#options.on.revoked(lost.map(({ topic, partition }) => ({ topic, partition })))
    }
  }

  #fail(error: Error): void {
    if (this.#closed) return
    this.#first.failed(error)
    void this.close()
    this.#options.on.failed(error)
  }

  pause(at: TopicPartition): void {
    this.#paused.add(keyOf(at))
    this.#fetcher.pause(at)
  }

  resume(at: TopicPartition): void {
    this.#paused.delete(keyOf(at))
    this.#fetcher.resume(at)
  }

  seek(position: Position): void {
    this.#fetcher.seek(position)
  }

  async commit(positions: readonly Position[]): Promise<void> {
    const foreign = positions.find((at) => !this.owns(at))
    if (foreign !== undefined) throw new NotOwner(`${keyOf(foreign)} is not ours in group ${this.#options.group}`)
    await this.#membership.commit(positions)
  }

  owns(at: TopicPartition): boolean {
    return !this.#closed && this.#membership.alive && this.#owned.has(keyOf(at))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#fetcher.close()
    await this.#membership.close()
    this.#link.close()
  }
}

const SESSION_TIMEOUT_MS = 10_000
const LOOK_UP_RETRY_MS = 50
const LOOK_UP_RETRY_MS_MAX = 1_000
const LOOK_UPS_BEFORE_RECONNECT = 4
