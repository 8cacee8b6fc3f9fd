import type {
  Admin,
  Broker,
  Fetched,
  NewRecord,
  Position,
  Producer,
  TransactionalProducer,
} from '../../streams/broker.ts'
import type { MemoryBroker } from '../../streams/brokers/memory.ts'
import { Retry } from '../../streams/errors.ts'
import { GroupClient, type GroupWorld } from './group-client.ts'
import type { Network } from './network.ts'
import type { Actor } from './scheduler.ts'

/** What the clients of all processes share. */
export interface BrokerWorld extends GroupWorld {
  readonly broker: MemoryBroker
  readonly network: Network
  /** The broker's own producer: what it appends is appended. */
  readonly log: Producer
  /** Called with what was just appended. */
  appended(records: readonly NewRecord[], positions: readonly Position[]): Promise<void>
}

const lost = (what: string) => () => new Retry(`${what}: the broker did not answer`)

/** A process's own connection to the broker: what `brokers/kafka.ts` is to Kafka. */
export function brokerClient(world: BrokerWorld, process: Actor): Broker & { readonly groups: readonly GroupClient[] } {
  const { broker, network } = world
  const groups: GroupClient[] = []
  const ask = <T>(what: string, effect: () => Promise<T>): Promise<T> =>
    network.call(process, { to: 'broker', what, effect, failure: lost(what) })
  const never = () => Promise.reject(new Error('no process of the simulation does this'))
  const admin: Admin = {
    ready: never,
    createTopics: never,
    deleteTopics: never,
    resetCommitted: never,
    topicConfig: (name) => ask(`configuration of ${name}`, () => broker.admin.topicConfig(name)),
    topics: () => ask('which topics', () => broker.admin.topics()),
    offsets: (topic) => ask(`offsets of ${topic}`, () => broker.admin.offsets(topic)),
    committed: (group, topic) => ask(`committed of ${group}`, () => broker.admin.committed(group, topic)),
  }
  return {
    groups,
    admin,
    producer: async () => queuingProducer(world, process),
    transactionalProducer: (id, options) =>
      ask(`fence ${id}`, async () =>
        transactional(world, process, id, await broker.transactionalProducer(id, options)),
      ),
    async consumeGroup(options) {
      const group = new GroupClient(world, process, options)
      groups.push(group)
      await group.joined
      return group
    },
    tail(options) {
      // Late, and in their order: one connection reads them.
      const underWay: Fetched[] = []
      const next = () => options.fetched(underWay.shift()!)
      return broker.tail({
        ...options,
        fetched(fetched) {
          underWay.push(fetched)
          network.scheduler.add(process, 'fetched for a table', next)
        },
      })
    },
    async *read(range) {
      await ask(`read ${range.topic}/${range.partition}`, async () => {})
      yield* broker.read(range)
    },
    close: async () => {},
  }
}

/** One request in flight; what is sent meanwhile goes with the next. A request is written partition by partition. */
function queuingProducer({ network, log, appended }: BrokerWorld, process: Actor): Producer {
  type Send = PromiseWithResolvers<readonly Position[]> & { readonly records: readonly NewRecord[] }
  let queue: Send[] = []
  let busy = false

  const write = async (records: readonly NewRecord[], part: { cut: boolean }): Promise<Map<NewRecord, Position>> => {
    const places = new Map<NewRecord, Position>()
    const parts = [...Map.groupBy(records, ({ topic, partition }) => `${topic}/${partition}`).values()]
    for (const [i, each] of parts.entries()) {
      if (i > 0) await network.scheduler.turn(network.world, 'the broker writes on', { part })
      const positions = await log.send(each)
      for (const [j, record] of each.entries()) places.set(record, positions[j]!)
      await appended(each, positions)
    }
    return places
  }

  const run = async (): Promise<void> => {
    if (busy) return
    busy = true
    await Promise.resolve()
    while (queue.length > 0) {
      const sends = queue
      queue = []
      const records = sends.flatMap(({ records }) => records)
      const what = `send ${records.map(({ topic, key }) => `${topic}:${key}`).join(' ')}`
      try {
        const places = await network.call(process, {
          to: 'broker',
          what,
          effect: (part) => write(records, part),
          failure: lost('send'),
        })
        for (const { records, resolve } of sends) resolve(records.map((record) => places.get(record)!))
      } catch (error) {
        for (const { reject } of sends) reject(error)
      }
    }
    busy = false
  }

  return {
    send(records) {
      if (records.length === 0) return Promise.resolve([])
      const send = { records, ...Promise.withResolvers<readonly Position[]>() }
      queue.push(send)
      void run()
      return send.promise
    },
    close: async () => {},
  }
}

function transactional(
  { network, appended }: BrokerWorld,
  process: Actor,
  id: string,
  producer: TransactionalProducer,
): TransactionalProducer {
  return {
    commit: (records) =>
      network.call(process, {
        to: 'broker',
        what: `transaction of ${id}`,
        async effect() {
          const positions = await producer.commit(records)
          await appended(records, positions)
          return positions
        },
        failure: lost('transaction'),
      }),
    // Its connection is closed, no more: what is on its way arrives or not, and what is open stays so until it is fenced.
    close: async () => {},
  }
}
