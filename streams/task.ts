import type { Fetched, NewRecord, Position, StoredRecord, TopicPartition } from './broker.ts'
import type { Clock } from './clock.ts'
import { type DeadLetter, deadLetter } from './dead-letters.ts'
import { type Decoded, decodeRecord, type Rejected } from './decode.ts'
import { Fatal, Reject, Retry, reasonOf, StartOver } from './errors.ts'
import type { Observer } from './observer.ts'
import { partitionOf } from './partitioner.ts'
import type { Batch, Input, Outcome, Processor, Publish } from './processor.ts'
import type { Serde } from './serde.ts'
import { type Taken, TaskState } from './task-state.ts'
import { lowKey, nameIn, type Scope, type Topic } from './topic.ts'

/** What a task needs of the process that runs it. */
export interface TaskContext<Ports> {
  readonly processor: Processor<Ports>
  readonly ports: Ports
  readonly topic: Topic
  readonly topicId: string
  readonly scope: Scope
  readonly serde: Serde
  readonly clock: Clock
  readonly observer: Observer
  readonly deadLetters: Topic<DeadLetter>
  /** Partitions of a topic by its declaration. */
  partitionsOf(topic: Topic): number
  /** Acknowledged, in order. For a transactional processor: all or nothing, with the position. */
  deliver(records: readonly NewRecord[], through: number): Promise<unknown>
  pause(): void
  resume(): void
  commit(next: number): Promise<void>
  /** The task cannot go on: `StartOver` begins it again, anything else ends the process. */
  stopped(error: Error): void
}

/**
 * One partition of one processor's input. The state (`task-state.ts`) decides what is next; this loop decodes, calls the
 * processor, sends what comes out, and commits when it is acknowledged.
 */
export class Task<Ports> {
  readonly at: TopicPartition
  readonly #context: TaskContext<Ports>
  readonly #state: TaskState
  readonly #stop = new AbortController()
  #lanes = 0
  #draining = false
  #drained: (() => void) | null = null
  #paused = false
  #committed: number
  #committing: Promise<void> | null = null
  #commitAt = 0
  #low = -1
  #markedLow = -1
  #markedAt = 0
  #crashes = 0
  #end: number

  constructor(at: TopicPartition, start: number, end: number, context: TaskContext<Ports>) {
    this.at = at
    this.#context = context
    this.#state = new TaskState(start)
    this.#committed = start
    this.#end = end
    this.#report()
    this.#pump()
    void this.#watch()
  }

  get low(): number {
    return this.#state.low
  }

  get idle(): boolean {
    return this.#lanes === 0 && this.#committing === null
  }

  receive(fetched: Fetched): void {
    if (this.#stop.signal.aborted) return
    this.#end = Math.max(this.#end, fetched.end)
    this.#state.receive(fetched)
    if (!this.#paused && this.#state.bytes > QUEUED_BYTES_MAX) {
      this.#paused = true
      this.#context.pause()
    }
    this.#pump()
  }

  /** No side effect begins after this; what is under way is not waited for. */
  abandon(): void {
    this.#stop.abort()
  }

  /** Takes nothing new, and resolves when what is under way is acknowledged, or after the time. */
  async drain(msMax: number): Promise<void> {
    this.#draining = true
    if (this.#lanes === 0) return
    const drained = Promise.withResolvers<void>()
    this.#drained = drained.resolve
    const late = new AbortController()
    await Promise.race([drained.promise, this.#context.clock.wait(msMax, late.signal)])
    late.abort()
  }

  /** Commits what is acknowledged. */
  async flush(): Promise<void> {
    await this.#committing
    await this.#commit()
  }

  #pump(): void {
    const { processor } = this.#context
    while (!this.#draining && !this.#stop.signal.aborted && this.#lanes < (processor.lanesMax ?? 1)) {
      const taken = this.#state.take(processor.batch) ?? this.#holesToMark()
      if (taken === null) break
      this.#lanes++
      void this.#run(taken)
        .catch((error) => {
          if (!this.#stop.signal.aborted) this.#context.stopped(error)
        })
        .finally(() => {
          this.#lanes--
          if (this.#lanes === 0) this.#drained?.()
          this.#pump()
        })
    }
    void this.#carryLow()
  }

  async #watch(): Promise<void> {
    const { processor, ports, clock } = this.#context
    if (processor.watch === undefined) return
    const { signal } = this.#stop
    for (;;) {
      await clock.wait(processor.watch.everyMs, signal)
      if (signal.aborted) return
      if (this.#lanes > 0) continue
      try {
        await processor.watch.check(this.at.partition, ports)
      } catch (error) {
        if (signal.aborted || error instanceof Retry) continue
        this.#context.stopped(error as Error)
        return
      }
    }
  }

  /** Offsets without records move the watermark too: an empty batch tells it on. */
  #holesToMark(): Taken | null {
    if (this.#context.processor.watermark?.kind !== 'published') return null
    if (this.#lanes > 0 || !this.#state.idle || this.#state.low <= this.#markedLow) return null
    return { records: [], through: this.#state.low }
  }

  async #run({ records, through }: Taken): Promise<void> {
    const { processor, clock, observer } = this.#context
    const began = clock.now()
    const { inputs, rejected, low } = await this.#decode(records)
    this.#low = Math.max(this.#low, low)
    const batch = {
      partition: this.at.partition,
      topicId: this.#context.topicId,
      records: inputs,
      through,
      low: this.#low,
      signal: this.#stop.signal,
    }
    const skipped = inputs.length === 0 && processor.watermark?.kind !== 'published'
    const outcomes = skipped ? [] : await this.#outcomes(batch)
    const rejections = await this.#deliver(inputs, outcomes, rejected, through)
    this.#state.finish(records)
    observer.handled({
      processor: processor.name,
      ...this.at,
      records: inputs.length + rejected.length,
      rejected: rejections,
      ms: clock.now() - began,
    })
    this.#report()
    if (this.#paused && this.#state.bytes < QUEUED_BYTES_MAX / 2) {
      this.#paused = false
      this.#context.resume()
    }
    if (this.#state.idle || clock.now() - this.#commitAt >= COMMIT_EVERY_MS) void this.#commit()
  }

  async #decode(records: readonly StoredRecord[]): Promise<{ inputs: Input[]; rejected: Rejected[]; low: number }> {
    const inputs: Input[] = []
    const rejected: Rejected[] = []
    let low = -1
    const { topic, serde } = this.#context
    const partitions = this.#context.partitionsOf(topic)
    for (const record of records) {
      const decoded: Decoded = await this.#patiently(() => decodeRecord(record, topic, partitions, serde))
      if ('low' in decoded) low = Math.max(low, decoded.low)
      else if ('reject' in decoded) rejected.push(decoded)
      else {
        inputs.push(decoded.input)
        low = Math.max(low, decoded.inputLow)
        this.#sources.set(decoded.input, record)
      }
    }
    return { inputs, rejected, low }
  }

  readonly #sources = new WeakMap<Input, StoredRecord>()

  /** Again and again while the world is not well. */
  async #patiently<T>(work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof Retry)) throw error
        await this.#backOff(error, attempt)
      }
    }
  }

  async #backOff(error: Error, attempt: number): Promise<void> {
    const { processor, observer, clock } = this.#context
    observer.retried({ processor: processor.name, ...this.at, attempt, error })
    const base = error instanceof Retry ? error.retryAfterMs : RETRY_DELAY_MS
    await clock.wait(Math.min(base * 2 ** Math.min(attempt - 1, 10), RETRY_DELAY_MAX_MS), this.#stop.signal)
    this.#stop.signal.throwIfAborted()
  }

  /** The processor's outcomes. A batch that keeps throwing is tried one by one, to find the poison. */
  async #outcomes(batch: Batch): Promise<readonly Outcome[]> {
    const { processor, ports } = this.#context
    for (let attempt = 1; ; attempt++) {
      this.#stop.signal.throwIfAborted()
      try {
        const outcomes = await processor.process(batch, ports)
        if (outcomes.length !== batch.records.length) {
          throw new Fatal(`${processor.name} gave ${outcomes.length} outcomes for ${batch.records.length} records`)
        }
        this.#crashes = 0
        return outcomes
      } catch (error) {
        if (this.#stop.signal.aborted || error instanceof StartOver || error instanceof Fatal) throw error
        const crash = !(error instanceof Retry)
        if (error instanceof Reject || (crash && attempt >= CRASH_ATTEMPTS_MAX)) {
          if (batch.records.length > 1) return this.#oneByOne(batch)
          if (batch.records.length === 1) return [this.#poison(error)]
          throw error
        }
        await this.#backOff(error as Error, attempt)
      }
    }
  }

  async #oneByOne(batch: Batch): Promise<readonly Outcome[]> {
    const outcomes: Outcome[] = []
    for (const [i, record] of batch.records.entries()) {
      const through = i + 1 < batch.records.length ? batch.records[i + 1]!.at.offset - 1 : batch.through
      // The batch's watermark holds only when its last record is handled.
      const low = i + 1 < batch.records.length ? -1 : batch.low
      outcomes.push(...(await this.#outcomes({ ...batch, records: [record], through, low })))
    }
    return outcomes
  }

  /** When everything crashes, it is not the records. */
  #poison(error: unknown): Outcome {
    if (error instanceof Reject) return { reject: reasonOf(error) }
    if (++this.#crashes > CRASHES_IN_A_ROW_MAX) {
      throw new Fatal(
        `${this.#context.processor.name} failed on ${this.#crashes} records in a row: the fault is not in the records`,
        { cause: error },
      )
    }
    return {
      reject: `${this.#context.processor.name} failed on this record ${CRASH_ATTEMPTS_MAX} times: ${reasonOf(error)}`,
      class: 'crash',
    }
  }

  /** Sends what the batch led to, and resolves with the number of rejections once all is acknowledged. */
  async #deliver(
    inputs: readonly Input[],
    outcomes: readonly Outcome[],
    rejected: readonly Rejected[],
    through: number,
  ): Promise<number> {
    const rejectedInputs: Rejected[] = [...rejected]
    const records: NewRecord[] = []
    for (const [i, outcome] of outcomes.entries()) {
      const input = inputs[i]!
      const encoded = this.#encode(input, outcome)
      if ('reject' in encoded) rejectedInputs.push(encoded)
      else records.push(...encoded.records)
    }
    for (const rejection of rejectedInputs) records.push(...this.#rejection(rejection))
    const { watermark } = this.#context.processor
    if (watermark?.kind === 'published') {
      const mark = { partition: this.at.partition, low: this.#low, applied: through, now: this.#context.clock.now() }
      records.push(this.#record(watermark.record(mark, this.#context.ports), {}))
    }
    if (records.length > 0 || this.#context.processor.transactional) {
      this.#stop.signal.throwIfAborted()
      await this.#patiently(() => this.#context.deliver(records, through))
    }
    if (watermark?.kind === 'published') this.#markedLow = through
    return rejectedInputs.length
  }

  /** What the record leads to; or its rejection, by the processor, or because it cannot be written. */
  #encode(input: Input, outcome: Outcome): { records: NewRecord[] } | Rejected {
    const source = this.#sources.get(input)!
    if ('reject' in outcome) {
      const rejectClass = outcome.class ?? 'content'
      return {
        reject: outcome.reject,
        class: rejectClass,
        record: source,
        publish: outcome.publish ?? [],
        keyed: rejectClass !== 'key',
      }
    }
    const records = outcome.publish.map((publish) => this.#record(publish, this.#carried(input, publish)))
    const size = records.reduce((most, { value }) => Math.max(most, value?.length ?? 0), 0)
    if (size > RECORD_BYTES_MAX) {
      return {
        reject: `the document becomes a record of ${size} bytes, and ${RECORD_BYTES_MAX} is the limit; split it into several documents`,
        class: 'size',
        record: source,
        publish: [],
        keyed: true,
      }
    }
    return { records }
  }

  #rejection({ record, reject, class: rejectClass, publish, keyed }: Rejected): NewRecord[] {
    const { processor, deadLetters, serde, scope, topicId, partitionsOf } = this.#context
    const letter = deadLetter(
      { stage: processor.name, record, topicId, class: rejectClass, reason: reject },
      deadLetters,
      partitionsOf(deadLetters),
      serde,
      scope,
    )
    const also = publish.map((each) => this.#record(each, {}))
    if (processor.onReject === 'nothing' || !keyed || this.#context.topic !== processor.from[0])
      return [letter, ...also]
    const key = record.key!.toString('utf8')
    const tombstone = { topic: processor.to[0]!, key, value: null, headers: { reason: printable(reject) } }
    return [letter, ...also, this.#record(tombstone, this.#carriedOf(record, tombstone.topic, {}))]
  }

  #carried(input: Input, { topic }: Publish): Record<string, string> {
    return this.#carriedOf(input.at, topic, input.headers, input.timestamp)
  }

  /** Trace context goes along with every record; position and watermark where the topic carries them. */
  #carriedOf(
    at: Position & { timestamp?: number; headers?: Record<string, Buffer> },
    topic: Topic,
    headers: Readonly<Record<string, string>>,
    timestamp = at.timestamp,
  ): Record<string, string> {
    const carried: Record<string, string> = {}
    const traceparent = headers.traceparent ?? at.headers?.traceparent?.toString('utf8')
    if (traceparent !== undefined) carried.traceparent = traceparent
    const { watermark, from } = this.#context.processor
    if (watermark?.kind !== 'carried' || watermark.topic !== topic || this.#context.topic !== from[0]) return carried
    carried.position = `${at.partition}:${at.offset}:${timestamp}`
    carried.low = String(this.#state.low)
    return carried
  }

  #record({ topic, key, value, headers, partition }: Publish, carried: Record<string, string>): NewRecord {
    const { processor, scope, serde, partitionsOf } = this.#context
    if (!processor.to.includes(topic))
      throw new Fatal(`${processor.name} publishes to ${topic.name}, which it does not declare`)
    return {
      topic: nameIn(scope, topic),
      partition: partition ?? partitionOf(key, partitionsOf(topic)),
      key,
      value: value === null ? null : serde.encode(topic, value),
      headers: { ...carried, ...headers },
    }
  }

  /** A progress record, where there is nothing else that could carry the watermark. */
  async #carryLow(): Promise<void> {
    const { processor, clock, scope, serde, topic } = this.#context
    const { watermark } = processor
    if (watermark?.kind !== 'carried' || topic !== processor.from[0] || this.#stop.signal.aborted) return
    const low = this.#state.low
    const now = clock.now()
    if (low <= this.#markedLow || (!this.#state.idle && now - this.#markedAt < LOW_EVERY_MS)) return
    const before = this.#markedLow
    this.#markedLow = low
    this.#markedAt = now
    const { partition } = this.at
    try {
      await this.#patiently(() =>
        this.#context.deliver(
          [
            {
              topic: nameIn(scope, watermark.topic),
              partition,
              key: lowKey(partition),
              value: serde.encodeLow(watermark.topic, low, now),
            },
          ],
          low,
        ),
      )
    } catch (error) {
      this.#markedLow = before
      if (!this.#stop.signal.aborted) this.#context.stopped(error as Error)
    }
  }

  async #commit(): Promise<void> {
    const next = this.#state.low + 1
    if (this.#context.processor.transactional || this.#committing !== null || next <= this.#committed) return
    this.#commitAt = this.#context.clock.now()
    this.#committing = this.#context
      .commit(next)
      .then(() => {
        this.#committed = next
      })
      // Not ours any more, or out of reach: the next commit, or the next owner, says it again.
      .catch(() => {})
    await this.#committing
    this.#committing = null
    if (this.#state.idle && this.#state.low + 1 > this.#committed && !this.#stop.signal.aborted) {
      if (this.#committed === next) await this.#commit()
    }
  }

  #report(): void {
    this.#context.observer.moved({
      processor: this.#context.processor.name,
      ...this.at,
      low: this.#state.low,
      end: this.#end,
    })
  }
}

/** Headers are for machines and logs: no line breaks, bounded. */
const printable = (text: string): string => text.replace(/\s+/g, ' ').slice(0, 500)

/** Received and not finished, per partition; above it the partition is paused (K10, K15). */
const QUEUED_BYTES_MAX = 16 * 1024 * 1024
/** One record per document and hop, and none above this. The topics allow a little more, for headers and framing. */
const RECORD_BYTES_MAX = 8 * 1024 * 1024
const COMMIT_EVERY_MS = 500
const LOW_EVERY_MS = 200
const RETRY_DELAY_MS = 200
const RETRY_DELAY_MAX_MS = 5_000
const CRASH_ATTEMPTS_MAX = 3
const CRASHES_IN_A_ROW_MAX = 5
