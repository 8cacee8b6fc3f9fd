import { Attempts, type AttemptsContext } from './attempts.ts'
import type { Fetched, NewRecord, StoredRecord, TopicPartition } from './broker.ts'
import { CarriedLow, lowRecord } from './carried-low.ts'
import { Commits, type Opening } from './commits.ts'
import { crashed, decodeRecord, type Rejected } from './decode.ts'
import { NotOwner, Retry } from './errors.ts'
import { Holding, type Part } from './holding.ts'
import { type Low, laterLow, noLow } from './low.ts'
import { type Handled, type OutboxContext, recordOf, recordsFor } from './outbox.ts'
import type { Away, Outcome, Processor } from './processor.ts'
import { type StateName, subjectOf } from './states.ts'
import { type Taken, TaskState } from './task-state.ts'
import { nameIn } from './topic.ts'
import type { Turns } from './turns.ts'
import { watchWorld } from './watch-world.ts'

/** What a task needs of the process that runs it. */
export interface TaskContext<Ports> extends OutboxContext, AttemptsContext<Ports> {
  readonly processor: Processor<Ports>
  /** Acknowledged, in order. For a transactional processor: all or nothing, with the position. */
  deliver(records: readonly NewRecord[], through: number): Promise<unknown>
  /** Sends dead letters; for a transactional processor, whose letters go with its output, sees that they can be sent. Rejects with `Retry` while they cannot. */
  bury(letters: readonly NewRecord[]): Promise<unknown>
  /** Of the process: whose turn it is of the records that go alone. */
  readonly alone: Turns
  pause(): void
  resume(): void
  /** What the process has of the stage's partitions, now. */
  part(): Part
  commit(next: number, metadata: string): Promise<void>
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
  /** Why nothing is fetched. */
  readonly #pausedFor = new Set<'queue' | 'hold'>()
  readonly #holding: Holding
  readonly #opening: TaskOpening
  readonly #commits: Commits
  #opened: Promise<void> | null = null
  /** The state that holds the watermark; null: nothing does. */
  #held: StateName | null
  #comparing = false
  readonly #carried = new CarriedLow()
  /** The newest watermark that records brought along, and what holds it back where it comes from. */
  #low: Low = noLow
  #lowHeld: string | null = null
  #markedLow = -1
  #end: number
  /** When the end was told. */
  #endAt: number

  constructor(at: TopicPartition, opening: TaskOpening, context: TaskContext<Ports>) {
    this.at = at
    this.#context = context
    this.#state = new TaskState(opening.offset)
    this.#attempts = new Attempts(at, context, this.#stop.signal)
    this.#holding = new Holding(at, context, this.#stop.signal, () => this.#pump())
    this.#opening = opening
    this.#held = opening.held
    this.#end = opening.end
    this.#endAt = context.clock.now()
    this.#commits = new Commits(opening, {
      clock: context.clock,
      topicId: context.topicId,
      transactional: context.processor.transactional !== undefined,
      commit: (next, metadata) => context.commit(next, metadata),
      committed: () => {
        if (this.#state.idle) this.#commit()
      },
    })
    this.#report()
    this.#pump()
    void watchWorld(at, context, {
      busy: () => this.#lanes > 0,
      tellAgain: () => this.#tellAgain(),
      signal: this.#stop.signal,
    })
  }

  get idle(): boolean {
    return this.#lanes === 0 && !this.#commits.running && (!this.#comparing || this.#held === null)
  }

  receive(fetched: Fetched): void {
    if (this.#stop.signal.aborted) return
    this.#end = Math.max(this.#end, fetched.end)
    this.#endAt = this.#context.clock.now()
    try {
      this.#state.receive(fetched)
    } catch (error) {
      return this.#context.stopped(error as Error)
    }
    if (this.#state.bytes > QUEUED_BYTES_MAX) this.#pauseFor('queue', true)
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

  /** Commits what is acknowledged, and that the task came to a clean end. */
  flush(): Promise<void> {
    return this.#commits.close(this.#state.low + 1, this.#asOf)
  }

  #pump(): void {
    const { processor } = this.#context
    while (!this.#draining && !this.#stop.signal.aborted) {
      const oneByOne = this.#commits.isolates(this.#state.low + 1)
      if (this.#lanes >= (oneByOne ? 1 : (processor.lanesMax ?? 1))) break
      const bounds = oneByOne ? { ...processor.batch, recordsMax: 1 } : processor.batch
      const taken = this.#state.take(bounds, (record) => this.#admit(record)) ?? this.#holesToMark()
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
    // What has arrived already goes first: until it has, nothing more is fetched.
    if (!this.#holding.held && this.#state.waiting === 0) this.#pauseFor('hold', false)
    void this.#carryLow()
    this.#compareIfPassed()
  }

  /** What is refused stands still, and what is behind it in the partition: their order is kept. */
  #admit(record: StoredRecord): boolean {
    const { processor, ports, topic, part, stopped } = this.#context
    if (processor.admit === undefined) return true
    if (this.#holding.held) return false
    try {
      const hold = processor.admit({ topic, record, part: part() }, ports)
      if (hold === null) return true
      this.#holding.hold(hold)
      this.#pauseFor('hold', true)
    } catch (error) {
      stopped(error as Error)
    }
    return false
  }

  #pauseFor(why: 'queue' | 'hold', wanted: boolean): void {
    // Whose the partition is now pauses and resumes it.
    if (this.#stop.signal.aborted) return
    const before = this.#pausedFor.size
    if (wanted) this.#pausedFor.add(why)
    else this.#pausedFor.delete(why)
    const after = this.#pausedFor.size
    if (before === 0 && after > 0) this.#context.pause()
    if (before > 0 && after === 0) this.#context.resume()
  }

  /** Offsets without records move the watermark too: an empty batch tells it on. */
  #holesToMark(): Taken | null {
    if (this.#context.processor.watermark?.kind !== 'published') return null
    if (this.#lanes > 0 || !this.#state.idle || this.#state.low <= this.#markedLow) return null
    return { records: [], through: this.#state.low }
  }

  /** A record that goes alone does so in the whole process: what ends it then is this record and no other, and no batch of others either. */
  async #run(taken: Taken): Promise<void> {
    const [first] = taken.records
    const { alone, clock } = this.#context
    const patience = (over: AbortSignal) => clock.wait(PATIENCE_MS, AbortSignal.any([this.#stop.signal, over]))
    const isAlone = first !== undefined && this.#commits.isolates(first.offset)
    const done = await (isAlone ? alone.take(patience) : alone.share(patience))
    try {
      this.#stop.signal.throwIfAborted()
      await this.#handle(taken)
      if (isAlone) await this.#commits.attemptOver(first.offset, this.#state.low + 1, this.#asOf)
    } finally {
      done()
    }
  }

  async #handle({ records, through }: Taken): Promise<void> {
    const { processor, clock, observer } = this.#context
    await this.#open()
    const began = clock.now()
    const { handled, unreadable, low } = (await this.#condemned(records)) ?? (await this.#decode(records))
    this.#low = laterLow(this.#low, low)
    // As it is now: a comparison that ends meanwhile is told by the next batch.
    const held = this.#held
    const brought = held === null ? this.#low : noLow
    const batch = {
      partition: this.at.partition,
      topicId: this.#context.topicId,
      records: handled.map(({ input }) => input),
      through,
      epoch: this.#context.epoch,
      low: brought.low,
      lowEpoch: brought.epoch,
      asOf: this.#asOfBatch(records, through),
      signal: this.#stop.signal,
    }
    const skipped = handled.length === 0 && processor.watermark?.kind !== 'published'
    const outcomes = skipped ? [] : await this.#attempts.process(batch)
    const rejections = await this.#deliver(handled, outcomes, unreadable, { through, held, low: brought.low })
    this.#state.finish(records)
    observer.handled({
      processor: processor.name,
      ...this.at,
      records: handled.length + unreadable.length,
      rejected: rejections,
      ms: clock.now() - began,
    })
    // Ended after the partition was given away: whose it is now says how far it is.
    if (this.#stop.signal.aborted) return
    this.#report()
    if (this.#state.bytes < QUEUED_BYTES_MAX / 2) this.#pauseFor('queue', false)
    if (held === null) this.#commits.release()
    this.#commit()
  }

  /** As `#asOf`, once this batch is handled as well. Only meaningful with one lane. */
  #asOfBatch(records: readonly StoredRecord[], through: number): number {
    if (through + 1 >= Math.max(this.#end, this.#state.next)) return this.#endAt
    return records.reduce((latest, { timestamp }) => Math.max(latest, timestamp), this.#asOf)
  }

  /** While records go one by one, each is on record before it is worked on; one that has ended the process too often is not worked on. */
  async #condemned(records: readonly StoredRecord[]): Promise<Decoded | null> {
    const [record] = records
    if (record === undefined || records.length > 1 || !this.#commits.isolates(record.offset)) return null
    const condemned = await this.#attempts.patiently(() => patientOwner(() => this.#commits.attempt(record.offset)))
    if (!condemned) return null
    const { topic, partitionsOf } = this.#context
    return { handled: [], unreadable: [crashed(record, topic, partitionsOf(topic))], low: noLow }
  }

  async #decode(records: readonly StoredRecord[]): Promise<Decoded> {
    const handled: Handled[] = []
    const unreadable: Rejected[] = []
    let low = noLow
    const { topic, serde, processor } = this.#context
    const partitions = this.#context.partitionsOf(topic)
    for (const source of records) {
      const decoded = await this.#attempts.patiently(() =>
        decodeRecord(source, topic, partitions, serde, processor.checkKey),
      )
      if ('low' in decoded) {
        low = laterLow(low, decoded.low)
        this.#lowHeld = decoded.held
      } else if ('reject' in decoded) unreadable.push(decoded)
      else {
        handled.push({ input: decoded.input, source })
        low = laterLow(low, decoded.inputLow)
      }
    }
    return { handled, unreadable, low }
  }

  /** Sends what the batch led to, and resolves with the number of rejections once all is acknowledged. */
  async #deliver(
    handled: readonly Handled[],
    outcomes: readonly Outcome[],
    unreadable: readonly Rejected[],
    { through, held, low }: { through: number; held: StateName | null; low: number },
  ): Promise<number> {
    const { processor, ports, clock } = this.#context
    const { rejections, ...made } = recordsFor(handled, outcomes, unreadable, this.#toldLow, this.#context)
    const { partition } = this.at
    const letters = rejections === 0 || (processor.letters?.({ partition, rejected: rejections }, ports) ?? true)
    const records = letters ? made.records : made.records.filter((record) => !this.#isLetter(record))
    const { watermark } = processor
    if (watermark?.kind === 'published') {
      const mark = { partition, low, applied: through, state: held ?? this.#lowHeld, now: clock.now() }
      records.push(recordOf(watermark.record(mark, ports), {}, this.#context))
    }
    if (records.length > 0 || processor.transactional) {
      await this.#send(records, through)
    }
    if (watermark?.kind === 'published' && held === this.#held) this.#markedLow = through
    return rejections
  }

  /** Dead letters go first, so that nothing passes the record that they are about while they are refused. */
  async #send(records: readonly NewRecord[], through: number): Promise<void> {
    const { processor } = this.#context
    const letters = records.filter((record) => this.#isLetter(record))
    this.#stop.signal.throwIfAborted()
    if (letters.length > 0) {
      await this.#attempts.patiently(() => this.#context.bury(letters))
      this.#stop.signal.throwIfAborted()
    }
    const rest = processor.transactional ? records : records.filter((record) => !this.#isLetter(record))
    if (rest.length > 0 || processor.transactional)
      await this.#attempts.patiently(() => this.#context.deliver(rest, through))
  }

  #isLetter({ topic }: NewRecord): boolean {
    const { scope, deadLetters } = this.#context
    return topic === nameIn(scope, deadLetters)
  }

  /** A progress record, where there is nothing else that could carry the watermark. */
  async #carryLow(): Promise<void> {
    const { processor, clock, topic, epoch } = this.#context
    const { watermark } = processor
    if (watermark?.kind !== 'carried' || topic !== processor.from[0] || this.#stop.signal.aborted) return
    const told = this.#carried.next({ low: this.#toldLow, held: this.#held }, this.#state.idle, clock.now())
    if (told === null) return
    const takeBack = this.#carried.tell(told, clock.now())
    try {
      const record = lowRecord(told, { topic: watermark.topic, partition: this.at.partition, epoch }, this.#context)
      await this.#attempts.patiently(() => this.#context.deliver([record], told.low))
    } catch (error) {
      takeBack()
      if (!this.#stop.signal.aborted) this.#context.stopped(error as Error)
    }
  }

  #commit(): void {
    if (this.#stop.signal.aborted) return
    this.#commits.advance(this.#state.low + 1, this.#asOf, this.#state.idle)
  }

  /** Everything that was written before this is handled, ms since 1970. */
  get #asOf(): number {
    const caughtUp = this.#state.idle && this.#state.low + 1 >= this.#end
    return caughtUp ? this.#endAt : Math.max(this.#opening.at, this.#state.lowAt)
  }

  /** What this stage says of its watermark: while it is held, what it said when it began. */
  get #toldLow(): number {
    return this.#held === null ? this.#state.low : this.#opening.offset - 1
  }

  /** Once everything is passed that was there when a held task began, the partition is compared, and the watermark goes on. */
  #compareIfPassed(): void {
    const { away } = this.#context.processor
    if (this.#held === null || this.#comparing || away === undefined || this.#state.low + 1 < this.#opening.end) return
    this.#comparing = true
    void this.#compare(away).catch((error) => {
      if (!this.#stop.signal.aborted) this.#context.stopped(error)
    })
  }

  async #compare(away: Away<Ports>): Promise<void> {
    const { processor, ports, states } = this.#context
    const { partition } = this.at
    const isPublished = processor.watermark?.kind === 'published'
    const shown = await this.#attempts.patiently(() => {
      const low = isPublished ? this.#low : { epoch: this.#context.epoch, low: this.#state.low }
      return away.compare({ partition, low, signal: this.#stop.signal }, ports)
    })
    this.#stop.signal.throwIfAborted()
    this.#low = laterLow(this.#low, shown)
    states.clear(this.#held!, subjectOf({ processor: processor.name, ...this.at }))
    this.#held = null
    // A watermark that is published is told first: whoever begins behind the records that brought it never hears of it again.
    if (!isPublished) this.#commits.release()
    this.#commit()
    this.#tellAgain()
  }

  #tellAgain(): void {
    this.#markedLow = -1
    this.#pump()
  }

  /** Nothing is worked on before its start is on record. */
  #open(): Promise<void> {
    this.#opened ??= this.#attempts.patiently(() => patientOwner(() => this.#commits.open()))
    return this.#opened
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

/** Where a task begins. */
export interface TaskOpening extends Opening {
  /** The end of the log at that time. */
  readonly end: number
}

interface Decoded {
  readonly handled: Handled[]
  readonly unreadable: Rejected[]
  readonly low: Low
}

/** What is no longer ours is taken away in a moment; until then whoever needs it waits. */
async function patientOwner<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof NotOwner ? new Retry(error.message, { cause: error }) : error
  }
}

/** Longer than a batch takes that waits for nothing but itself. */
const PATIENCE_MS = 10_000
/** Received and not finished, per partition; above it the partition is paused (K10, K15). */
const QUEUED_BYTES_MAX = 16 * 1024 * 1024
