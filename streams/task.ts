import { Attempts, type AttemptsContext } from './attempts.ts'
import type { Fetched, NewRecord, StoredRecord, TopicPartition } from './broker.ts'
import { decodeRecord, type Rejected } from './decode.ts'
import { Retry, reasonOf } from './errors.ts'
import { type Handled, type OutboxContext, recordOf, recordsFor } from './outbox.ts'
import type { Outcome, Processor } from './processor.ts'
import { type StateName, subjectOf } from './states.ts'
import { type Taken, TaskState } from './task-state.ts'
import { lowKey, nameIn } from './topic.ts'

/** What a task needs of the process that runs it. */
export interface TaskContext<Ports> extends OutboxContext, AttemptsContext<Ports> {
  readonly processor: Processor<Ports>
  /** Acknowledged, in order. For a transactional processor: all or nothing, with the position. */
  deliver(records: readonly NewRecord[], through: number): Promise<unknown>
  /** Sends dead letters; for a transactional processor, whose letters go with its output, sees that they can be sent. Rejects with `Retry` while they cannot. */
  bury(letters: readonly NewRecord[]): Promise<unknown>
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
  readonly #attempts: Attempts<Ports>
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
  #end: number

  constructor(at: TopicPartition, start: number, end: number, context: TaskContext<Ports>) {
    this.at = at
    this.#context = context
    this.#state = new TaskState(start)
    this.#attempts = new Attempts(at, context, this.#stop.signal)
    this.#committed = start
    this.#end = end
    this.#report()
    this.#pump()
    void this.#watch()
  }

  get idle(): boolean {
    return this.#lanes === 0 && this.#committing === null
  }

  receive(fetched: Fetched): void {
    if (this.#stop.signal.aborted) return
    this.#end = Math.max(this.#end, fetched.end)
    try {
      this.#state.receive(fetched)
    } catch (error) {
      return this.#context.stopped(error as Error)
    }
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
    const { processor, ports, clock, states } = this.#context
    if (processor.watch === undefined) return
    const { signal } = this.#stop
    const subject = subjectOf({ processor: processor.name, ...this.at })
    let unwell: StateName | null = null
    for (;;) {
      await clock.wait(processor.watch.everyMs, signal)
      if (signal.aborted) return
      if (this.#lanes > 0) continue
      try {
        await processor.watch.check(this.at.partition, ports)
        if (unwell !== null) states.clear(unwell, subject)
        unwell = null
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof Retry) {
          unwell = error.state
          if (unwell !== null) states.raise(unwell, subject, reasonOf(error))
          continue
        }
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
    const { handled, unreadable, low } = await this.#decode(records)
    this.#low = Math.max(this.#low, low)
    const batch = {
      partition: this.at.partition,
      topicId: this.#context.topicId,
      records: handled.map(({ input }) => input),
      through,
      low: this.#low,
      signal: this.#stop.signal,
    }
    const skipped = handled.length === 0 && processor.watermark?.kind !== 'published'
    const outcomes = skipped ? [] : await this.#attempts.process(batch)
    const rejections = await this.#deliver(handled, outcomes, unreadable, through)
    this.#state.finish(records)
    observer.handled({
      processor: processor.name,
      ...this.at,
      records: handled.length + unreadable.length,
      rejected: rejections,
      ms: clock.now() - began,
    })
    // Ended after the partition was given away: whose it is now says how far it is, and pauses and resumes it.
    if (this.#stop.signal.aborted) return
    this.#report()
    if (this.#paused && this.#state.bytes < QUEUED_BYTES_MAX / 2) {
      this.#paused = false
      this.#context.resume()
    }
    if (this.#state.idle || clock.now() - this.#commitAt >= COMMIT_EVERY_MS) void this.#commit()
  }

  async #decode(
    records: readonly StoredRecord[],
  ): Promise<{ handled: Handled[]; unreadable: Rejected[]; low: number }> {
    const handled: Handled[] = []
    const unreadable: Rejected[] = []
    let low = -1
    const { topic, serde } = this.#context
    const partitions = this.#context.partitionsOf(topic)
    for (const source of records) {
      const decoded = await this.#attempts.patiently(() => decodeRecord(source, topic, partitions, serde))
      if ('low' in decoded) low = Math.max(low, decoded.low)
      else if ('reject' in decoded) unreadable.push(decoded)
      else {
        handled.push({ input: decoded.input, source })
        low = Math.max(low, decoded.inputLow)
      }
    }
    return { handled, unreadable, low }
  }

  /** Sends what the batch led to, and resolves with the number of rejections once all is acknowledged. */
  async #deliver(
    handled: readonly Handled[],
    outcomes: readonly Outcome[],
    unreadable: readonly Rejected[],
    through: number,
  ): Promise<number> {
    const { processor, ports, clock } = this.#context
    const { records, rejections } = recordsFor(handled, outcomes, unreadable, this.#state.low, this.#context)
    const { watermark } = processor
    if (watermark?.kind === 'published') {
      const mark = { partition: this.at.partition, low: this.#low, applied: through, now: clock.now() }
      records.push(recordOf(watermark.record(mark, ports), {}, this.#context))
    }
    if (records.length > 0 || processor.transactional) {
      await this.#send(records, rejections, through)
    }
    if (watermark?.kind === 'published') this.#markedLow = through
    return rejections
  }

  /** Dead letters go first, so that nothing passes the record that they are about while they are refused. */
  async #send(records: readonly NewRecord[], rejections: number, through: number): Promise<void> {
    const { processor, scope, deadLetters } = this.#context
    const isLetter = ({ topic }: NewRecord) => topic === nameIn(scope, deadLetters)
    this.#stop.signal.throwIfAborted()
    if (rejections > 0) {
      const letters = records.filter(isLetter)
      await this.#attempts.patiently(() => this.#context.bury(letters))
      this.#stop.signal.throwIfAborted()
    }
    const rest = processor.transactional ? records : records.filter((record) => !isLetter(record))
    if (rest.length > 0 || processor.transactional)
      await this.#attempts.patiently(() => this.#context.deliver(rest, through))
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
      await this.#attempts.patiently(() =>
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

/** Received and not finished, per partition; above it the partition is paused (K10, K15). */
const QUEUED_BYTES_MAX = 16 * 1024 * 1024
const COMMIT_EVERY_MS = 500
const LOW_EVERY_MS = 200
