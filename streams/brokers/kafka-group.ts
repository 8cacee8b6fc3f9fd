import type { Assignment, Commit, GroupConsumer, GroupOptions, Position, TopicPartition } from '../broker.ts'
import { systemClock } from '../clock.ts'
import { NotOwner, Retry, reasonOf } from '../errors.ts'
import type { KafkaOptions, Log } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'
import { Fetcher } from './kafka-fetcher.ts'
import { Link } from './kafka-link.ts'
import { Membership } from './kafka-membership.ts'
import { committedOffsets, keyOf, logRanges } from './kafka-offsets.ts'

/** Rejects with `Retry` if the topics cannot be found; `joined` resolves when the group has assigned partitions for the first time. */
export async function openGroup(
  kafka: KafkaOptions & { readonly log: Log },
  options: GroupOptions,
): Promise<{ consumer: GroupConsumer; joined: Promise<void> }> {
  const link = new Link(kafka, options.topics)
  try {
    await link.cluster()
  } catch (error) {
    link.close()
    throw asInstruction(error, `subscribing to ${options.topics.join(', ')}`)
  }
  const joined = Promise.withResolvers<void>()
  return { consumer: new KafkaGroupConsumer(link, kafka.log, options, joined), joined: joined.promise }
}

interface Owned {
  readonly at: TopicPartition
  readonly assignment: number
}

class KafkaGroupConsumer implements GroupConsumer {
  readonly #link: Link
  readonly #log: Log
  readonly #options: GroupOptions
  readonly #membership: Membership
  readonly #fetcher: Fetcher
  readonly #first: { resolve(): void; reject(error: Error): void }
  /** What is ours, with the number of its assignment: an answer to an earlier one is not heard (guard K11). */
  readonly #owned = new Map<string, Owned>()
  /** Our own table, put into force at each assignment (guard K13). */
  readonly #paused = new Set<string>()
  #assignments = 0
  #closed = false

  constructor(link: Link, log: Log, options: GroupOptions, first: { resolve(): void; reject(error: Error): void }) {
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
    this.#first.resolve()
    const owned = partitions.map((at) => this.#own(at))
    // The caller has its consumer before the first partition is assigned to it.
    setImmediate(() => void this.#start(owned))
  }

  #own(at: TopicPartition): Owned {
    const owned = { at, assignment: ++this.#assignments }
    this.#owned.set(keyOf(at), owned)
    return owned
  }

  #isOurs({ at, assignment }: Owned): boolean {
    return !this.#closed && this.#owned.get(keyOf(at))?.assignment === assignment
  }

  async #start(owned: readonly Owned[]): Promise<void> {
    try {
      const assignments = await this.#lookUp(owned)
      await Promise.all(owned.map((one) => this.#assign(one, assignments.get(keyOf(one.at))!)))
    } catch (error) {
      if (owned.some((one) => this.#isOurs(one))) this.#fail(error as Error)
    }
  }

  async #assign(owned: Owned, assignment: Assignment): Promise<void> {
    if (!this.#isOurs(owned)) return
    try {
      const offset = await this.#options.on.assigned(assignment)
      if (this.#isOurs(owned)) this.#fetcher.add({ ...owned.at, offset }, { paused: this.#paused.has(keyOf(owned.at)) })
    } catch (error) {
      // As promised, the partition stays as it is; whether the others go on is for the owner to say.
      if (this.#isOurs(owned)) this.#options.on.failed(error as Error)
    }
  }

  /** Committed offset and range of the log (guard K14: whoever starts compares them). Again and again while Kafka does not answer. */
  async #lookUp(owned: readonly Owned[]): Promise<Map<string, Assignment>> {
    const partitions = owned.map(({ at }) => at)
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#link.use('looking up where to start', async (cluster) => {
          const [ranges, positions] = await Promise.all([
            logRanges(cluster, partitions),
            committedOffsets(cluster, this.#options.group, partitions),
          ])
          const committed = new Map(positions.map((position) => [keyOf(position), position]))
          return new Map(
            ranges.map((range) => {
              const { offset = null, metadata = '' } = committed.get(keyOf(range)) ?? {}
              return [keyOf(range), { ...range, committed: offset, metadata }]
            }),
          )
        })
      } catch (error) {
        if (!(error instanceof Retry) || !owned.some((one) => this.#isOurs(one))) throw error
        this.#log('warn', 'it is not known yet where to start', { attempt, reason: reasonOf(error) })
        await systemClock.wait(Math.min(LOOK_UP_RETRY_MS * attempt, LOOK_UP_RETRY_MS_MAX))
      }
    }
  }

  /** The log was cut, or is another one: never silent (guard K14), the owner is told as of a new assignment and decides. */
  #outOfRange(at: Position): void {
    this.#log('warn', 'an offset is not in the log any more; the partition is assigned anew', { ...at })
    this.#revoke([at])
    void this.#start([this.#own({ topic: at.topic, partition: at.partition })])
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
    this.#first.reject(error)
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

  async commit(positions: readonly Commit[]): Promise<void> {
    const foreign = positions.find((at) => !this.owns(at))
    if (foreign !== undefined) throw new NotOwner(`${keyOf(foreign)} is not ours in group ${this.#options.group}`)
    await this.#membership.commit(positions)
  }

  id(): string {
    return this.#membership.id
  }

  members(): Promise<readonly string[]> {
    return this.#membership.members()
  }

  owns(at: TopicPartition): boolean {
    return !this.#closed && this.#membership.alive && this.#owned.has(keyOf(at))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#first.reject(new Retry('the consumer was closed'))
    this.#fetcher.close()
    await this.#membership.close()
    this.#link.close()
  }
}

const SESSION_TIMEOUT_MS = 10_000
const LOOK_UP_RETRY_MS = 50
const LOOK_UP_RETRY_MS_MAX = 1_000
