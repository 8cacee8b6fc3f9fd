import type { Assignment, Broker, GroupConsumer, NewRecord, TopicPartition } from './broker.ts'
import { bury } from './burial.ts'
import type { Clock } from './clock.ts'
import type { DeadLetter } from './dead-letters.ts'
import { Fatal, NotOwner, Reject, Retry, reasonOf, StartOver } from './errors.ts'
import type { Observer } from './observer.ts'
import { ingestPositions, type PositionStore } from './positions.ts'
import type { Processor } from './processor.ts'
import type { Serde } from './serde.ts'
import { type StateName, States, subjectOf } from './states.ts'
import { Task, type TaskContext } from './task.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'

/** What every processor of a process shares. */
export interface Runtime {
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  /** The one number of partitions of all topics that share it. */
  readonly partitions: number
  readonly deadLetters: Topic<DeadLetter>
  readonly clock: Clock
  readonly observer: Observer
  /** Where named states are raised; default: nobody looks. */
  readonly states?: States
  readonly sessionTimeoutMs?: number
  /** Called once, when a processor can never go on; the process should end and say why. */
  failed(error: Error): void
}

/** A processor at work. */
export interface Runner {
  readonly group: string
  /** No work is under way and nothing waits. */
  idle(): boolean
  /** Lets go of the partitions: what is acknowledged is committed, the rest is the next owner's. */
  close(): Promise<void>
}

export function groupOf(scope: Scope, processor: Pick<Processor, 'name' | 'from' | 'to'>): string {
  const bySpace = [...processor.from, ...processor.to].some(({ name }) => name.includes('<space>'))
  return `${scope.prefix}freshet.${processor.name}${bySpace ? `.${scope.space}` : ''}`
}

/** Joins the processor's consumer group and runs a task for each partition that it is given. */
export async function runProcessor<Ports>(
  processor: Processor<Ports>,
  ports: Ports,
  runtime: Runtime,
): Promise<Runner> {
  const { broker, serde, scope, partitions, deadLetters, clock, observer } = runtime
  const { states = new States(clock.now) } = runtime
  const group = groupOf(scope, processor)
  const topicsByName = new Map(processor.from.map((topic) => [nameIn(scope, topic), topic]))
  const topicIds = new Map((await broker.admin.topics()).map(({ name, id }) => [name, id]))
  const positions = processor.transactional ? await ingestPositions(processor.transactional.positions, runtime) : null
  const producer = processor.transactional ? null : await broker.producer()
  const tasks = new Map<string, { task: Task<Ports>; release(): Promise<void> }>()
  const generations = new Map<string, number>()
  let closed = false
  let consumer: GroupConsumer | null = null
  const joined = Promise.withResolvers<GroupConsumer>()

  const fail = (error: Error): void => {
    if (closed) return
    closed = true
    for (const { task } of tasks.values()) task.abandon()
    runtime.failed(new Fatal(`${processor.name} stopped`, { cause: error }))
  }

  /** Where to begin: what the processor says, else its transactional position, else the committed offset, else the log's start. */
  const startOf = async (
    at: Assignment,
    store: PositionStore | null,
  ): Promise<{ start: number; lost: string | null }> => {
    const wanted = store
      ? await store.next()
      : ((await processor.start?.({ ...at, topicId: topicIds.get(at.topic) ?? '' }, ports)) ?? at.committed)
    if (wanted === null) return { start: at.start, lost: null }
    if (wanted > at.end) {
      // The log was cut. What a transactional stage has handled it never hands on again, or old versions would follow newer
      // ones; for the others a repetition changes nothing, and what is skipped is lost.
      const start = store ? at.end : at.start
      return { start, lost: `${wanted} is behind the end of the log, ${at.end}, which was cut; beginning at ${start}` }
    }
    if (wanted < at.start)
      return {
        start: at.start,
        lost: `${wanted} is not in the log any more, which begins at ${at.start}: what was between was removed before it was handled`,
      }
    return { start: wanted, lost: null }
  }

  const begin = async (assignment: Assignment): Promise<number> => {
    const key = keyOf(assignment)
    const generation = (generations.get(key) ?? 0) + 1
    generations.set(key, generation)
    await tasks.get(key)?.release()
    const stillOurs = () => !closed && generations.get(key) === generation
    const subject = subjectOf({ processor: processor.name, ...assignment })
    let waitedFor: StateName | null = null
    for (let attempt = 1; ; attempt++) {
      let store: PositionStore | null = null
      try {
        store = positions && (await positions.open({ topicId: topicIds.get(assignment.topic) ?? '', ...assignment }))
        const { start, lost } = await startOf(assignment, store)
        if (!stillOurs()) {
          await store?.close()
          throw new NotOwner(`${key} was given away while it was being started`)
        }
        const own = store
        const task = new Task(
          { topic: assignment.topic, partition: assignment.partition },
          start,
          assignment.end,
          contextOf(assignment, own, generation),
        )
        tasks.set(key, {
          task,
          async release() {
            task.abandon()
            tasks.delete(key)
            await own?.close()
          },
        })
        if (waitedFor !== null) states.clear(waitedFor, subject)
        observer.task({
          processor: processor.name,
          topic: assignment.topic,
          partition: assignment.partition,
          state: 'started',
          offset: start,
          ...(lost !== null && { reason: lost }),
        })
        return start
      } catch (error) {
        await store?.close().catch(() => {})
        if (!(error instanceof Retry || error instanceof StartOver) || !stillOurs()) throw error
        observer.retried({
          processor: processor.name,
          topic: assignment.topic,
          partition: assignment.partition,
          attempt,
          error,
        })
        if (error.state !== null && attempt > 1) {
          waitedFor = error.state
          states.raise(error.state, subject, reasonOf(error))
        }
        await clock.wait(Math.min(START_DELAY_MS * 2 ** Math.min(attempt, 6), START_DELAY_MAX_MS))
        if (!stillOurs()) throw error
      }
    }
  }

  /** A transaction that was refused for its dead letters is the state of those: it begins again until they are taken. */
  const commitWithLetters = async (
    store: PositionStore,
    records: readonly NewRecord[],
    through: number,
    at: TopicPartition,
  ): Promise<void> => {
    const name = nameIn(scope, deadLetters)
    const withLetters = records.some(({ topic }) => topic === name)
    try {
      await store.commit(records, through)
    } catch (error) {
      if (!withLetters || !(error instanceof Reject)) throw error
      throw new StartOver(`${name} refused dead letters`, { cause: error, state: 'dead-letters-unavailable' })
    }
    if (withLetters) states.clear('dead-letters-unavailable', subjectOf({ processor: processor.name, ...at }))
  }

  const contextOf = (at: TopicPartition, store: PositionStore | null, generation: number): TaskContext<Ports> => ({
    processor,
    ports,
    topic: topicsByName.get(at.topic)!,
    topicId: topicIds.get(at.topic) ?? '',
    scope,
    serde,
    clock,
    observer,
    states,
    deadLetters,
    partitionsOf: (topic) => (topic.partitions === 'shared' ? partitions : topic.partitions),
    deliver: (records: readonly NewRecord[], through: number) =>
      store ? commitWithLetters(store, records, through, at) : producer!.send(records),
    bury: (letters) => bury(letters, nameIn(scope, deadLetters), broker, producer),
    pause: () => consumer?.pause(at),
    resume: () => consumer?.resume(at),
    commit: (next) =>
      consumer?.commit([{ ...at, offset: next }]) ??
      Promise.reject(new Retry('the consumer is still joining its group')),
    stopped(error) {
      if (generations.get(keyOf(at)) !== generation) return
      // Whoever else says the same of this task says nothing new.
      generations.set(keyOf(at), generation + 1)
      if (error instanceof StartOver) void startOver(at, error, generation + 1)
      else fail(error)
    },
  })

  /** Forgets what the task believes, and begins again as if just assigned. */
  const startOver = async (at: TopicPartition, reason: StartOver, generation: number): Promise<void> => {
    observer.task({ processor: processor.name, ...at, state: 'started over', reason: reason.message })
    if (reason.state !== null)
      states.raise(reason.state, subjectOf({ processor: processor.name, ...at }), reasonOf(reason))
    try {
      const member = await joined.promise
      member.pause(at)
      await tasks.get(keyOf(at))?.release()
      await clock.wait(START_DELAY_MS)
      if (closed || generations.get(keyOf(at)) !== generation || !member.owns(at)) return
      const [committed, offsets] = await Promise.all([
        broker.admin.committed(group, at.topic),
        broker.admin.offsets(at.topic),
      ])
      const log = offsets.find(({ partition }) => partition === at.partition)!
      const offset = committed.find(({ partition }) => partition === at.partition)?.offset ?? null
      const start = await begin({ ...at, committed: offset, start: log.start, end: log.end })
      member.seek({ ...at, offset: start })
      member.resume(at)
    } catch (error) {
      if (error instanceof NotOwner || closed) return
      if (error instanceof Retry) return startOver(at, reason, generations.get(keyOf(at)) ?? generation)
      fail(error as Error)
    }
  }

  consumer = await broker.consumeGroup({
    group,
    topics: [...topicsByName.keys()],
    ...(runtime.sessionTimeoutMs !== undefined && { sessionTimeoutMs: runtime.sessionTimeoutMs }),
    on: {
      assigned: (assignment) => {
        // Pauses outlive a rebalance, and the task that made one does not.
        consumer?.resume(assignment)
        return begin(assignment).catch((error) => {
          // Given away meanwhile: whatever is answered is for nobody.
          if (error instanceof NotOwner || closed) return assignment.start
          throw error
        })
      },
      fetched: (batch) => tasks.get(keyOf(batch))?.task.receive(batch),
      revoked(lost) {
        for (const at of lost) {
          const key = keyOf(at)
          generations.set(key, (generations.get(key) ?? 0) + 1)
          void tasks.get(key)?.release()
          states.clearAll(subjectOf({ processor: processor.name, ...at }))
          observer.task({ processor: processor.name, topic: at.topic, partition: at.partition, state: 'revoked' })
        }
      },
      failed: fail,
    },
  })
  joined.resolve(consumer)

  return {
    group,
    idle: () => [...tasks.values()].every(({ task }) => task.idle),
    async close() {
      closed = true
      const running = [...tasks.values()]
      await Promise.allSettled(running.map(({ task }) => task.drain(DRAIN_MS_MAX)))
      for (const { task } of running) task.abandon()
      await Promise.allSettled(running.map(({ task }) => task.flush()))
      await consumer?.close()
      await Promise.allSettled(running.map(({ release }) => release()))
      await producer?.close()
      await positions?.close()
    },
  }
}

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const START_DELAY_MS = 100
/** What is under way when a process is asked to end gets this long; then it is the next owner's. */
const DRAIN_MS_MAX = 8_000
const START_DELAY_MAX_MS = 5_000
