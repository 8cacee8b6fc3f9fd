import type { Position } from './broker.ts'
import { type MemoryBroker, memoryBroker } from './brokers/memory.ts'
import { type VirtualClock, virtualClock } from './clock.ts'
import type { DeadLetter } from './dead-letters.ts'
import { Reject } from './errors.ts'
import { mortalBroker } from './mortal-broker.ts'
import { type Observer, silent } from './observer.ts'
import { partitionOf } from './partitioner.ts'
import type { Processor } from './processor.ts'
import { localRegistry } from './registry.ts'
import { groupOf, type Runtime, runProcessor } from './runner.ts'
import { avroSerde, type Serde } from './serde.ts'
import { States } from './states.ts'
import { type AvroSchema, isLowKey, nameIn, type Scope, type Topic, topic } from './topic.ts'
import { type Stage, stage } from './topology.ts'

/**
 * Runs one processor without Kafka: the real loop, real Avro, a broker in memory, and a clock that moves only when told.
 * `await using driver = await testDriver(processor, ports)`.
 */
export interface TestDriver extends AsyncDisposable {
  /** Puts records into the first source, where their keys belong, and waits until nothing more happens. */
  pipe(...records: readonly TestRecord[]): Promise<void>
  /** A value in the bytes of the first source's schema. */
  encoded(value: unknown): Buffer
  /** Moves the clock, and waits until nothing more happens. */
  advance(ms: number): Promise<void>
  /** What was published, in the order of the log, progress records left out. */
  records(topic: Topic): Promise<readonly OutRecord[]>
  /** Places of all records, also of those that nobody can read. */
  offsets(topic: Topic): Promise<readonly Position[]>
  values<V>(topic: Topic<V>): Promise<readonly (V | null)[]>
  rejected(): Promise<readonly { key: string | null; reason: string }[]>
  /** The watermarks that progress records carried, in order. */
  lows(topic: Topic): Promise<readonly number[]>
  /** Ends the stages as they are asked to end, and starts new ones. */
  restart(): Promise<void>
  stop(): Promise<void>
  start(): Promise<void>
  /** The process of the stages dies in the middle of whatever it does, and another one starts. */
  crash(): Promise<void>
  /** As the runner's, for all stages. */
  recheck(): Promise<void>
  /** All consumer groups begin at the start of the log again. */
  redeliver(): Promise<void>
  readonly broker: MemoryBroker
  readonly states: States
  readonly serde: Serde
  readonly scope: Scope
  readonly clock: VirtualClock
  /** Why a processor stopped for good; null while it runs. */
  readonly failure: Error | null
  readonly now: () => number
}

export interface TestRecord {
  readonly key: string | null
  /** Encoded with the topic's schema; null is a tombstone. */
  readonly value?: unknown
  /** Instead of a value: these bytes, untouched. */
  readonly bytes?: Buffer
  readonly headers?: Readonly<Record<string, string>>
  readonly topic?: Topic
  readonly partition?: number
}

export interface OutRecord {
  readonly key: string
  /** null for a tombstone, and for bytes that nobody can read. */
  readonly value: unknown
  readonly partition: number
  readonly offset: number
  readonly headers: Readonly<Record<string, string>>
}

export function testDriver<Ports>(
  processor: Processor<Ports>,
  ports: Ports,
  options?: DriverOptions,
): Promise<TestDriver> {
  return testTopology([stage(processor, ports)], options)
}

export interface DriverOptions {
  readonly partitions?: number
  readonly clock?: VirtualClock
  readonly observer?: Observer
  readonly states?: States
  readonly identified?: Runtime['identified']
  /** Topics that no stage reads or writes, and the test does. */
  readonly also?: readonly Topic[]
  readonly deadLetters?: Topic<DeadLetter>
}

/** Several stages, each feeding the next. */
export async function testTopology(
  stages: readonly Stage[],
  {
    partitions = 1,
    clock = virtualClock(),
    observer = silent,
    states = new States(clock.now),
    identified,
    also = [],
    deadLetters: letterTopic = deadLetters,
  }: DriverOptions = {},
): Promise<TestDriver> {
  const broker = memoryBroker({ now: clock.now })
  const scope: Scope = { prefix: '', space: 'es_test' }
  const serde = avroSerde(localRegistry(), scope)
  const source = stages[0]!.processor.from[0]!
  const declared = stages.flatMap(({ processor: { from, to, transactional } }) => [
    ...from,
    ...to,
    ...(transactional ? [transactional.positions] : []),
  ])
  const topics = [...new Set([...declared, letterTopic, ...also])]
  const partitionsOf = ({ partitions: declared }: Topic) => (declared === 'shared' ? partitions : declared)
  await broker.admin.createTopics(
    topics.map((each) => ({
      name: nameIn(scope, each),
      partitions: partitionsOf(each),
      replicationFactor: 1,
      config: each.config,
    })),
  )
  await serde.register(topics)
  let failure: Error | null = null
  let mortal = mortalBroker(broker)
  const runtime = () => ({
    broker: mortal,
    serde,
    scope,
    partitions,
    deadLetters: letterTopic,
    clock,
    observer,
    states,
    failed: (error: Error) => (failure = error),
    ...(identified && { identified }),
  })
  let runners = await Promise.all(
    stages.map(({ processor, ports, instance }) => runProcessor(processor, ports, runtime(), instance)),
  )
  const producer = await broker.producer()

  /** Nothing is on its way: the broker has delivered all, and no task works; whoever waits, waits for the clock. */
  const settle = async (): Promise<void> => {
    for (let quiet = 0, rounds = 0; quiet < QUIET_ROUNDS && rounds < ROUNDS_MAX; quiet++, rounds++) {
      // Whoever is being given a partition may wait for the clock, and is not waited for.
      await Promise.race([broker.idle(), turns(QUIET_ROUNDS)])
      await new Promise((resolve) => setImmediate(resolve))
      if (!runners.every((runner) => runner.idle()) && clock.nextAt === null) quiet = 0
    }
  }
  /** Lets the time pass until the work is done: whoever stops or starts may have to wait for the clock. */
  const passing = async <T>(work: Promise<T>): Promise<T> => {
    let over = false
    const watched = work.finally(() => {
      over = true
    })
    watched.catch(() => {})
    for (let turns = 1; !over; turns++) {
      await new Promise((resolve) => setImmediate(resolve))
      if (turns % QUIET_ROUNDS === 0 && clock.nextAt !== null) clock.advance(Math.max(0, clock.nextAt - clock.now()))
    }
    return watched
  }
  const closeAll = () => passing(Promise.all(runners.map((runner) => runner.close())))
  const startAll = async () => {
    runners = await passing(
      Promise.all(stages.map(({ processor, ports, instance }) => runProcessor(processor, ports, runtime(), instance))),
    )
    await settle()
  }
  await settle()

  const stored = async (of: Topic): Promise<readonly OutRecord[]> => {
    const records = []
    for (const { key, value, partition, offset, headers } of broker.records(nameIn(scope, of))) {
      if (isLowKey(key)) continue
      records.push({
        key: key?.toString('utf8') ?? '',
        value: value === null ? null : await serde.decode(of, value).catch(unreadable),
        partition,
        offset,
        headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString('utf8')])),
      })
    }
    return records
  }

  return {
    async pipe(...records) {
      for (const { key, value = null, bytes, headers, topic: to = source, partition } of records) {
        const encoded = bytes ?? (value === null ? null : serde.encode(to, value))
        await producer.send([
          {
            topic: nameIn(scope, to),
            partition: partition ?? partitionOf(key ?? '', partitionsOf(to)),
            key,
            value: encoded,
            ...(headers && { headers }),
          },
        ])
      }
      await settle()
    },
    encoded: (value) => serde.encode(source, value),
    async advance(ms) {
      clock.advance(ms)
      await settle()
    },
    records: stored,
    async offsets(of) {
      return broker.records(nameIn(scope, of)).filter(({ key }) => !isLowKey(key))
    },
    async values<V>(of: Topic<V>) {
      return (await stored(of)).map(({ value }) => value as V | null)
    },
    async rejected() {
      return (await stored(letterTopic)).map(({ value }) => {
        const { key, reason } = value as DeadLetter
        return { key: key?.toString('utf8') ?? null, reason }
      })
    },
    async lows(of) {
      const lows = []
      for (const { key, value } of broker.records(nameIn(scope, of)))
        if (isLowKey(key) && value !== null) lows.push(await serde.decodeLow(of, value))
      return lows
    },
    broker,
    states,
    serde,
    scope,
    clock,
    async restart() {
      await closeAll()
      await startAll()
    },
    stop: async () => void (await closeAll()),
    start: startAll,
    async crash() {
      await passing(mortal.die())
      mortal = mortalBroker(broker)
      await startAll()
    },
    async recheck() {
      await Promise.all(runners.map((runner) => runner.recheck()))
      await settle()
    },
    async redeliver() {
      await closeAll()
      for (const { processor, instance } of stages) {
        for (const from of processor.from) {
          const name = nameIn(scope, from)
          const starts = (await broker.admin.offsets(name)).map(({ partition, start }) => ({
            topic: name,
            partition,
            offset: start,
          }))
          await broker.admin.resetCommitted(groupOf(scope, processor, instance), starts)
        }
      }
      await startAll()
    },
    get failure() {
      return failure
    },
    now: clock.now,
    async [Symbol.asyncDispose]() {
      await closeAll()
      await broker.close()
    },
  }
}

/** What nobody can read is nothing. */
const unreadable = (error: unknown): null => {
  if (error instanceof Reject) return null
  throw error
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** Turns of the event loop without any work, after which nothing more is on its way. */
const QUIET_ROUNDS = 20
/** A stage that is busy for longer than this waits for the test itself. */
const ROUNDS_MAX = 1_000

const nullable = (type: string) => ({ type: ['null', type], default: null })

/** The driver's own, so that a processor can be tested with nothing but `streams/`. */
const deadLetters = topic<DeadLetter>({
  name: 'dead-letters',
  about: 'What the processor under test rejected.',
  schema: {
    type: 'record',
    name: 'DeadLetter',
    fields: [
      ...['stage', 'class', 'reason', 'topic', 'topicId'].map((name) => ({ name, type: 'string' })),
      { name: 'partition', type: 'int' },
      { name: 'offset', type: 'long' },
      { name: 'timestamp', type: 'long' },
      { name: 'key', ...nullable('bytes') },
      { name: 'value', ...nullable('bytes') },
      { name: 'headers', type: { type: 'map', values: 'bytes' } },
    ],
  } as AvroSchema,
  partitions: 1,
  keyed: false,
  config: {},
})
