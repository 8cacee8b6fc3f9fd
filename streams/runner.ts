import type { Assignment, Broker, GroupConsumer, NewRecord, TopicPartition } from './broker.ts'
import { bury } from './burial.ts'
import type { Clock } from './clock.ts'
import type { DeadLetter } from './dead-letters.ts'
import { Fatal, NotOwner, Reject, Retry, reasonOf, StartOver } from './errors.ts'
import type { Part } from './holding.ts'
import { FIRST_EPOCH } from './low.ts'
import type { Observer } from './observer.ts'
import { type Opened, openingOf } from './opening.ts'
import { ingestPositions, type PositionStore } from './positions.ts'
import type { Processor } from './processor.ts'
import type { Serde } from './serde.ts'
import { type StateName, States, subjectOf } from './states.ts'
import { Task, type TaskContext } from './task.ts'
import { nameIn, type Scope, type Topic } from './topic.ts'
import { Turns } from './turns.ts'

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
  /** Shared by all stages of the process, so that of the records that go alone only one is under way. */
  readonly alone?: Turns
  /** Asked at each start of a task for each topic of its stage. Rejects with `Retry` while the topic is not the one that it should be. */
  identified?(topic: Topic, id: string): Promise<{ readonly epoch: number }>
  /** Called once, when a processor can never go on; the process should end and say why. */
  failed(error: Error): void
}

/** Kafka's ids of the topics by name, and which of its name the first source is. */
interface Identities {
  readonly ids: ReadonlyMap<string, string>
  readonly epoch: number
}

interface Running<Ports> {
  readonly task: Task<Ports>
  readonly at: TopicPartition
  readonly ids: ReadonlyMap<string, string>
  stopped(error: Error): void
  release(): Promise<void>
}

/** A processor at work. */
export interface Runner {
  readonly group: string
  /** No work is under way and nothing waits. */
  idle(): boolean
  /** Begins anew where a topic is not the one any more that it was. Asked now and then by whoever runs the stage. */
  recheck(): Promise<void>
  /** Lets go of the partitions: what is acknowledged is committed, the rest is the next owner's. */
  close(): Promise<void>
}

/** `instance` tells several runs of one processor apart, each of which sees every record. */
export function groupOf(scope: Scope, processor: Pick<Processor, 'name' | 'from' | 'to'>, instance = ''): string {
  const bySpace = [...processor.from, ...processor.to].some(({ name }) => name.includes('<space>'))
  const group = `${scope.prefix}freshet.${processor.name}${bySpace ? `.${scope.space}` : ''}`
  return instance === '' ? group : `${group}.${instance}`
}

/** Joins the processor's consumer group and runs a task for each partition that it is given. */
export async function runProcessor<Ports>(
  processor: Processor<Ports>,
  ports: Ports,
  runtime: Runtime,
  instance = '',
): Promise<Runner> {
  const { broker, serde, scope, partitions, deadLetters, clock, observer } = runtime
  const { states = new States(clock.now), alone = new Turns() } = runtime
  const group = groupOf(scope, processor, instance)
  const topicsByName = new Map(processor.from.map((topic) => [nameIn(scope, topic), topic]))
  const positions = processor.transactional ? await ingestPositions(processor.transactional.positions, runtime) : null
  const producer = processor.transactional ? null : await broker.producer()
  const tasks = new Map<string, Running<Ports>>()
  /** Partitions of each topic, as last heard. */
  const partitionCounts = new Map<string, number>()
  /** Every id that this process has had in the group. */
  const ownIds = new Set<string>()
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

  /** Kafka's ids of the topics now. Whoever asks while others ask gets their answer. */
  let asking: Promise<Map<string, string>> | null = null
  const topicIdsNow = (): Promise<Map<string, string>> => {
    asking ??= broker.admin
      .topics()
      .then((topics) => {
        for (const { name, partitions } of topics) if (topicsByName.has(name)) partitionCounts.set(name, partitions)
        return new Map(topics.map(({ name, id }) => [name, id]))
      })
      .finally(() => {
        asking = null
      })
    return asking
  }

  /** The ids of this stage's topics, once each is the one that it should be. */
  const identify = async (): Promise<Identities> => {
    const ids = await topicIdsNow()
    let epoch = FIRST_EPOCH
    for (const topic of [...processor.from, ...processor.to]) {
      const name = nameIn(scope, topic)
      const id = ids.get(name)
      if (id === undefined) throw new Retry(goneTopic(name), { state: 'source-recreated' })
      const identity = await runtime.identified?.(topic, id)
      if (topic === processor.from[0] && identity !== undefined) epoch = identity.epoch
    }
    return { ids, epoch }
  }

  const living = async (): Promise<ReadonlySet<string>> => {
    const member = await joined.promise
    return new Set([...ownIds, ...(await member.members())])
  }

  const begin = async (assignment: Assignment): Promise<number> => {
    const { topic, partition } = assignment
    const key = keyOf(assignment)
    const generation = (generations.get(key) ?? 0) + 1
    generations.set(key, generation)
    await tasks.get(key)?.release()
    const stillOurs = () => !closed && generations.get(key) === generation
    const givenAway = (cause: unknown) =>
      Object.assign(new NotOwner(`${key} was given away while it was being started`), { cause })
    const at = { processor: processor.name, topic, partition }
    const subject = subjectOf(at)
    let waitedFor: StateName | null = null
    for (let attempt = 1; ; attempt++) {
      let store: PositionStore | null = null
      try {
        const own = (await joined.promise).id()
        ownIds.add(own)
        const { ids, epoch } = await identify()
        const topicId = ids.get(topic)!
        store = positions && (await positions.open({ topicId, ...assignment }))
        const isFirst = topicsByName.get(topic) === processor.from[0]
        const context = { processor, ports, broker, clock, topicId, isFirst, epoch, own, living, stillOurs }
        const opened = await openingOf(assignment, store, context)
        if (!stillOurs()) throw givenAway(null)
        tell(at, opened, store?.former() ?? null)
        const kept = store
        const taskContext = contextOf(assignment, { topicId, epoch }, kept, generation)
        const task = new Task({ topic, partition }, opened.opening, taskContext)
        tasks.set(key, {
          task,
          at: { topic, partition },
          ids,
          stopped: taskContext.stopped,
          async release() {
            task.abandon()
            tasks.delete(key)
            await kept?.close()
          },
        })
        return opened.opening.offset
      } catch (error) {
        await store?.close().catch(() => {})
        if (!(error instanceof Retry || error instanceof StartOver)) throw error
        if (!stillOurs()) throw givenAway(error)
        observer.retried({ ...at, attempt, error })
        if (waitedFor !== error.state && waitedFor !== null) states.clear(waitedFor, subject)
        waitedFor = error.state
        if (waitedFor !== null) states.raise(waitedFor, subject, reasonOf(error))
        await clock.wait(Math.min(START_DELAY_MS * 2 ** Math.min(attempt, 6), START_DELAY_MAX_MS))
        if (!stillOurs()) throw givenAway(error)
      }
    }
  }

  /** Says what is out of order where a task begins. States of an earlier start are over, unless they are this one's too. */
  const tell = (
    at: TopicPartition & { processor: string },
    { opening, hold, lost }: Opened,
    former: number | null,
  ): void => {
    const subject = subjectOf(at)
    for (const { name } of states.present().filter((state) => state.subject === subject))
      if (name !== hold?.state && name !== 'dead-letters-unavailable') states.clear(name, subject)
    if (hold !== null) states.raise(hold.state, subject, hold.reason, { blocking: false })
    if (lost !== null) {
      states.raise('offset-out-of-range', subject, lost.reason, { stays: true })
      observer.lost({ ...at, offsets: lost.offsets })
    }
    if (former !== null)
      states.raise(
        'source-recreated',
        subject,
        `${former} offsets of the former topic were read, and what came after them is lost unless it is sent again; this one is read from its start`,
        { blocking: false, stays: true },
      )
    const { starts, until } = opening.crashes
    const alone = until >= 0 ? `records go one by one up to ${until}, since the process has died here` : null
    const reason = hold?.reason ?? lost?.reason ?? alone ?? (starts > 1 ? `start ${starts} at this place` : null)
    observer.task({ ...at, state: 'started', offset: opening.offset, ...(reason !== null && { reason }) })
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

  const partOf = (topic: string): Part => {
    const own = [...tasks.values()]
    const ofTopic = own.filter(({ at }) => at.topic === topic).length / (partitionCounts.get(topic) ?? 1)
    const all = [...partitionCounts.values()].reduce((sum, count) => sum + count, 0)
    return { ofTopic, ofStage: own.length / all }
  }

  const contextOf = (
    at: TopicPartition,
    { topicId, epoch }: { topicId: string; epoch: number },
    store: PositionStore | null,
    generation: number,
  ): TaskContext<Ports> => ({
    processor,
    ports,
    topic: topicsByName.get(at.topic)!,
    topicId,
    epoch,
    scope,
    serde,
    clock,
    observer,
    states,
    deadLetters,
    partitionsOf: (topic) => (topic.partitions === 'shared' ? partitions : topic.partitions),
    deliver: (records: readonly NewRecord[], through: number) =>
      store ? commitWithLetters(store, records, through, at) : producer!.send(records),
    alone,
    bury: (letters) => bury(letters, nameIn(scope, deadLetters), broker, producer),
    pause: () => consumer?.pause(at),
    resume: () => consumer?.resume(at),
    part: () => partOf(at.topic),
    commit: (next, metadata) =>
      consumer?.commit([{ topic: at.topic, partition: at.partition, offset: next, metadata }]) ??
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
    const stillOurs = () => !closed && generations.get(keyOf(at)) === generation
    try {
      const member = await joined.promise
      if (!stillOurs()) return
      member.pause(at)
      await tasks.get(keyOf(at))?.release()
      await clock.wait(START_DELAY_MS)
      if (!stillOurs() || !member.owns(at)) return
      const [committed, offsets] = await Promise.all([
        broker.admin.committed(group, at.topic),
        broker.admin.offsets(at.topic),
      ])
      if (!stillOurs()) return
      const log = offsets.find(({ partition }) => partition === at.partition)!
      const { offset = null, metadata = '' } = committed.find(({ partition }) => partition === at.partition) ?? {}
      const start = await begin({ ...at, committed: offset, metadata, start: log.start, end: log.end })
      member.seek({ ...at, offset: start })
      member.resume(at)
    } catch (error) {
      if (error instanceof NotOwner || closed) return
      if (error instanceof Retry) return startOver(at, reason, generation)
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
    async recheck() {
      const now = await topicIdsNow()
      const names = [...processor.from, ...processor.to].map((topic) => nameIn(scope, topic))
      for (const name of names) {
        const subject = `${processor.name} on ${name}`
        if (now.has(name)) states.clear('source-recreated', subject)
        else states.raise('source-recreated', subject, goneTopic(name))
      }
      for (const { ids, at, stopped } of [...tasks.values()]) {
        const changed = names.find((name) => ids.get(name) !== now.get(name))
        if (changed === undefined) continue
        stopped(new StartOver(`${changed} was deleted${now.has(changed) ? ' and created again' : ''}, at ${keyOf(at)}`))
      }
    },
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

const goneTopic = (name: string): string =>
  `topic ${name} is gone; restore it, or create it again (a role that starts does)`

const keyOf = ({ topic, partition }: TopicPartition): string => `${topic}/${partition}`

const START_DELAY_MS = 100
/** What is under way when a process is asked to end gets this long; then it is the next owner's. */
const DRAIN_MS_MAX = 8_000
const START_DELAY_MAX_MS = 5_000
