import type { Fetched, Position, TopicPartition } from '../broker.ts'
import { systemClock } from '../clock.ts'
import { Fatal, Forbidden, reasonOf } from '../errors.ts'
import type { Cluster, Log } from './kafka-client.ts'
import { asInstruction } from './kafka-errors.ts'
import { type FetchedCommitted, fetchCommitted, type PartitionFetch } from './kafka-fetch.ts'
import type { Link } from './kafka-link.ts'

export interface FetcherOptions {
  readonly link: Pick<Link, 'cluster' | 'drop'>
  readonly log: Log
  readonly fetchBytesMax?: number
  readonly fetchWaitMs?: number
  fetched(batch: Fetched): void
  /** The offset is not in the log any more, or not yet; the partition is not read until it is added again. */
  outOfRange(at: Position): void
  /** Can never go on. */
  failed(error: Error): void
}

/** One partition that is read. A new object for each assignment, so that an answer for an old one finds nobody (guard K11). */
interface Reading extends TopicPartition {
  next: number
  /** The end that was last told. */
  told: number
  paused: boolean
  /** It is in a request now. */
  asked: boolean
  /** Arrived while it was paused; delivered on resume. */
  held: FetchedCommitted | null
  /** Came back empty although committed offsets lie ahead: asked alone next, which proves a hole. */
  suspect: boolean
  /** Worth a request that does not wait, beside the one that does: it has just become readable, or had data. */
  eager: boolean
  /** Not asked before this, by `performance.now()`. */
  notBefore: number
  errors: number
}

/**
 * Reads partitions of any leaders and hands over what comes, without a group: a request that waits for each broker, and
 * beside it short ones for what became readable meanwhile, so that nothing waits for a wait to end. It replaces the
 * fetching of kafkajs's consumer, and with it guards K7 (a handler or a codec stops it), K14 (out of range is silent), K15
 * (a slow partition blocks its broker's others) and K16 (stuck at an empty batch).
 */
export class Fetcher {
  readonly #options: FetcherOptions
  readonly #readings = new Map<string, Reading>()
  /** Requests under way by broker: the one that waits, and the one that does not. */
  readonly #requests = new Map<string, { since: number; readings: readonly Reading[] }>()
  readonly #watchdog: NodeJS.Timeout
  #pumping = false
  #closed = false
  #failures = 0
  #refreshAt = 0

  constructor(options: FetcherOptions) {
    this.#options = options
    this.#watchdog = setInterval(() => this.#watch(), WATCH_EVERY_MS).unref()
  }

  add({ topic, partition, offset }: Position, { paused }: { paused: boolean }): void {
    const reading = { topic, partition, next: offset, told: -1, paused, asked: false, held: null, suspect: false }
    this.#readings.set(keyOf(reading), { ...reading, eager: true, notBefore: 0, errors: 0 })
    this.#wake()
  }

  remove(at: TopicPartition): void {
    this.#readings.delete(keyOf(at))
  }

  clear(): void {
    this.#readings.clear()
  }

  pause(at: TopicPartition): void {
    const reading = this.#readings.get(keyOf(at))
    if (reading !== undefined) reading.paused = true
  }

  resume(at: TopicPartition): void {
    const reading = this.#readings.get(keyOf(at))
    if (reading === undefined || !reading.paused) return
    reading.paused = false
    reading.eager = true
    this.#wake()
  }

  /** What is on its way is dropped. */
  seek(position: Position): void {
    const reading = this.#readings.get(keyOf(position))
    if (reading !== undefined) this.add(position, reading)
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#watchdog)
    this.clear()
  }

  #wake(): void {
    if (this.#pumping || this.#closed) return
    this.#pumping = true
    setImmediate(async () => {
      try {
        await this.#pump()
      } catch (error) {
        await this.#broken(error, null)
      } finally {
        this.#pumping = false
      }
    })
  }

  async #pump(): Promise<void> {
    for (const reading of [...this.#readings.values()]) this.#release(reading)
    if (!this.#ready().length) return
    const cluster = await this.#options.link.cluster()
    await cluster.refreshMetadataIfNecessary()
    const byLeader = Map.groupBy(this.#ready(), (reading) => leaderOf(cluster, reading))
    for (const [leader, readings] of byLeader) {
      if (leader === null) this.#backOff(readings, 'no leader is known')
      else this.#ask(cluster, leader, readings)
    }
  }

  #ready(): Reading[] {
    const now = performance.now()
    return [...this.#readings.values()].filter(
      (reading) => !reading.paused && !reading.asked && reading.held === null && reading.notBefore <= now,
    )
  }

  #ask(cluster: Cluster, leader: number, readings: readonly Reading[]): void {
    const waiting = `${leader} waiting`
    const quick = `${leader} quick`
    const suspect = readings.find(({ suspect }) => suspect)
    if (!this.#requests.has(quick)) {
      const busy = this.#requests.has(waiting)
      const eager = suspect ? [suspect] : busy ? readings.filter(({ eager }) => eager) : []
      if (eager.length > 0) void this.#request(cluster, leader, quick, eager, 0)
    }
    if (this.#requests.has(waiting)) return
    const rest = readings.filter(({ asked, suspect }) => !asked && !suspect)
    if (rest.length > 0) {
      void this.#request(cluster, leader, waiting, rest, this.#options.fetchWaitMs ?? FETCH_WAIT_MS)
    }
  }

  async #request(cluster: Cluster, leader: number, lane: string, readings: readonly Reading[], waitMs: number) {
    const request = { since: performance.now(), readings }
    this.#requests.set(lane, request)
    const bytesMax = this.#options.fetchBytesMax ?? PARTITION_BYTES_MAX
    // In another order each time: the broker fills its answer from the front.
    const positions = shuffled(readings).map((reading) => {
      reading.asked = true
      reading.eager = false
      return { topic: reading.topic, partition: reading.partition, offset: reading.next, bytesMax }
    })
    try {
      const node = await cluster.findBroker({ nodeId: leader })
      const connection = waitMs > 0 ? 1 : 0
      const answers = await fetchCommitted(node, { positions, waitMs, connection, bytesMax: FETCH_BYTES_MAX })
      if (this.#requests.get(lane) !== request) return
      this.#failures = 0
      for (const answer of answers) {
        const reading = readings.find(
          ({ topic, partition }) => topic === answer.topic && partition === answer.partition,
        )
        // Given away, or sought elsewhere, meanwhile.
        if (reading !== undefined && this.#readings.get(keyOf(reading)) === reading) {
          this.#receive(reading, answer, readings.length === 1)
        }
      }
    } catch (error) {
      if (this.#requests.get(lane) === request) await this.#broken(error, cluster)
    } finally {
      if (this.#requests.get(lane) === request) {
        this.#requests.delete(lane)
        for (const reading of readings) reading.asked = false
      }
      this.#wake()
    }
  }

  #receive(reading: Reading, answer: PartitionFetch, alone: boolean): void {
    if ('error' in answer) return this.#refused(reading, answer.error)
    reading.errors = 0
    let fetched = answer
    if (answer.bytes === 0 && answer.lastStable > answer.next) {
      // Asked with others, the answer may have been full before it came to this one.
      if (!alone) reading.suspect = true
      else fetched = { ...answer, next: answer.lastStable }
    }
    if (alone) reading.suspect = false
    if (fetched.bytes > 0) reading.eager = true
    reading.held = fetched
    this.#release(reading)
  }

  #release(reading: Reading): void {
    const { held } = reading
    if (held === null || reading.paused) return
    reading.held = null
    if (held.from !== reading.next || (held.next === held.from && held.end === reading.told)) return
    reading.next = held.next
    reading.told = held.end
    const { topic, partition, records, from, next, end } = held
    try {
      this.#options.fetched({ topic, partition, records, from, next, end })
    } catch (error) {
      this.#fail(new Error(`the handler of ${keyOf(reading)} threw`, { cause: error }))
    }
  }

  #fail(error: Error): void {
    if (this.#closed) return
    this.close()
    this.#options.failed(error)
  }

  #refused(reading: Reading, error: Error | number): void {
    const at = { topic: reading.topic, partition: reading.partition, offset: reading.next }
    if (error === OFFSET_OUT_OF_RANGE) {
      this.remove(reading)
      return this.#options.outOfRange(at)
    }
    if (error === TOPIC_AUTHORIZATION_FAILED)
      return this.#fail(new Forbidden(`${keyOf(reading)} is not for us to read (TOPIC_AUTHORIZATION_FAILED)`))
    const reason = error instanceof Error ? reasonOf(error) : `Kafka's error ${error}`
    if (++reading.errors >= ERRORS_MAX && !(typeof error === 'number' && MOVING.has(error))) {
      const cause = error instanceof Error ? error : undefined
      return this.#fail(new Error(`${keyOf(reading)} cannot be read at ${reading.next}: ${reason}`, { cause }))
    }
    this.#backOff([reading], reason)
  }

  #backOff(readings: readonly Reading[], reason: string): void {
    for (const reading of readings) reading.notBefore = performance.now() + BACK_OFF_MS
    const [{ topic, partition }] = readings as [Reading]
    this.#options.log('debug', 'a partition cannot be read for now', { topic, partition, reason })
    void this.#refresh()
  }

  /** Leaders may have moved. */
  async #refresh(): Promise<void> {
    if (performance.now() < this.#refreshAt) return
    this.#refreshAt = performance.now() + BACK_OFF_MS
    await systemClock.wait(BACK_OFF_MS)
    if (this.#closed) return
    const cluster = await this.#options.link.cluster().catch(() => null)
    await cluster?.refreshMetadata().catch(() => this.#options.link.drop(cluster))
    this.#wake()
  }

  async #broken(error: unknown, cluster: Cluster | null): Promise<void> {
    if (this.#closed) return
    this.#options.link.drop(cluster)
    const instruction = asInstruction(error, 'reading from Kafka')
    if (instruction instanceof Fatal) return this.#fail(instruction)
    const delayMs = Math.min(BACK_OFF_MS * 2 ** Math.min(this.#failures++, 4), BACK_OFF_MS_MAX)
    this.#options.log(this.#failures > 3 ? 'warn' : 'debug', 'fetching failed', { reason: reasonOf(error), delayMs })
    await systemClock.wait(delayMs)
    setImmediate(() => this.#wake())
  }

  /** Guards K8 and K16: a request that never settles, or a wake-up that was lost, is noticed by the clock alone. */
  #watch(): void {
    const late = performance.now() - (this.#options.fetchWaitMs ?? FETCH_WAIT_MS) - REQUEST_MS_MAX
    for (const [lane, { since, readings }] of this.#requests) {
      if (since > late) continue
      this.#options.log('warn', 'a fetch was not answered; connecting anew', { lane })
      this.#requests.delete(lane)
      for (const reading of readings) reading.asked = false
      this.#options.link.drop()
    }
    this.#wake()
  }
}

function leaderOf(cluster: Cluster, { topic, partition }: TopicPartition): number | null {
  const found = cluster.findTopicPartitionMetadata(topic).find(({ partitionId }) => partitionId === partition)
  return found === undefined || found.leader < 0 ? null : found.leader
}

function shuffled<T>(list: readonly T[]): T[] {
  const from = Math.floor(Math.random() * list.length)
  return [...list.slice(from), ...list.slice(0, from)]
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const PARTITION_BYTES_MAX = 1024 * 1024
const FETCH_BYTES_MAX = 8 * 1024 * 1024
/** How long a broker waits for the first record: the price of an idle reader, not its latency. */
const FETCH_WAIT_MS = 500
const BACK_OFF_MS = 100
const BACK_OFF_MS_MAX = 2_000
const WATCH_EVERY_MS = 5_000
const REQUEST_MS_MAX = 20_000
/** In a row, of one partition, 100 ms apart. */
const ERRORS_MAX = 50
const OFFSET_OUT_OF_RANGE = 1
const TOPIC_AUTHORIZATION_FAILED = 29
/** Leaders that move, topics that come and go, a log that is being opened: they pass. */
const MOVING = new Set([3, 5, 6, 7, 9, 13, 56, 74, 75, 76, 78, 100])
