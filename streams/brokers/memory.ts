import { randomUUID } from 'node:crypto'
import type {
  Admin,
  Broker,
  GroupConsumer,
  NewRecord,
  Position,
  Producer,
  StoredRecord,
  Tail,
  TailOptions,
  TopicSpec,
  TransactionalProducer,
} from '../broker.ts'
import { Fenced, Reject, Retry } from '../errors.ts'
import { type Cursor, Delivery, nextTurn, type Turn } from './memory-delivery.ts'
import type { Faults } from './memory-faults.ts'
import { Group, keyOf } from './memory-group.ts'
import { batchBytesOf, PartitionLog, type Transaction } from './memory-log.ts'

/** A broker in this process for tests: Kafka's semantics, no sockets and no timers. */
export interface MemoryBroker extends Broker {
  /** What a test wants to go wrong; empty at first. */
  readonly faults: Faults
  /** All committed records that are still there, in order, partition by partition. */
  records(topic: string): readonly StoredRecord[]
  /** The offset that the next record of each partition will get. */
  ends(topic: string): readonly number[]
  /** Keeps the latest record of each key, as the log cleaner does; `drop` removes tombstones too. Of what lies before `before`, by partition; default: all. */
  compact(topic: string, tombstones?: 'keep' | 'drop', before?: readonly number[]): void
  /** Drops what lies before the offset, as retention does. */
  truncate(before: Position): void
  /** Resolves when every group member and tail was handed all that it is not paused on, no rebalance is under way and every `assigned` is answered. */
  idle(): Promise<void>
}

interface TopicInMemory {
  readonly id: string
  readonly spec: TopicSpec
  readonly logs: readonly PartitionLog[]
}

export interface MemoryBrokerOptions {
  /** The clock that stamps records (LogAppendTime) and lets transactions expire, ms since 1970. */
  readonly now?: () => number
  /** How deliveries and rebalances are put off. */
  readonly turn?: Turn
  readonly topicId?: (name: string) => string
}

export function memoryBroker({
  now = Date.now,
  turn = nextTurn,
  topicId = () => randomUUID(),
}: MemoryBrokerOptions = {}): MemoryBroker {
  const topics = new Map<string, TopicInMemory>()
  const groups = new Map<string, Group>()
  const epochs = new Map<string, { epoch: number; open: Transaction | null }>()
  const delivery = new Delivery(turn)
  const faults: Faults = {}
  const open = new Set<{ close(): Promise<void> }>()

  /** Closed with the broker, if it was not before. */
  const kept = <T extends { close(): Promise<void> }>(one: T): T => {
    const close = one.close.bind(one)
    open.add(one)
    return Object.assign(one, {
      close() {
        open.delete(one)
        return close()
      },
    })
  }

  const topicOf = (name: string): TopicInMemory => {
    const topic = topics.get(name)
    if (topic === undefined) throw new Retry(`topic ${name} does not exist`)
    return topic
  }

  const groupOf = (name: string): Group => {
    const known = groups.get(name)
    if (known !== undefined) return known
    const group = new Group(name, { delivery, faults, turn, logs: (topic) => topics.get(topic)?.logs ?? [] })
    groups.set(name, group)
    return group
  }

  const logOf = (record: NewRecord): PartitionLog => {
    const topic = topicOf(record.topic)
    const log = topic.logs[record.partition]
    if (log === undefined) throw new Retry(`topic ${record.topic} has no partition ${record.partition}`)
    const bytes = batchBytesOf(record)
    const bytesMax = Number(topic.spec.config['max.message.bytes'] ?? MESSAGE_BYTES_MAX)
    if (bytes > bytesMax) {
      throw new Reject(`a record of ${bytes} bytes is too large for ${record.topic}, which takes ${bytesMax}`)
    }
    return log
  }

  const append = (records: readonly NewRecord[], transaction?: Transaction): Position[] => {
    const logs = records.map(logOf)
    return records.map((record, i) => ({
      topic: record.topic,
      partition: record.partition,
      offset: logs[i]!.append(record, now(), transaction),
    }))
  }

  const end = (transaction: Transaction, outcome: 'commit' | 'abort'): void => {
    for (const log of transaction.logs) log.endTransaction(transaction, outcome)
    const state = epochs.get(transaction.id)!
    if (state.open === transaction) state.open = null
    delivery.wake()
  }

  /** Without timers, an expired transaction is noticed when anybody looks. */
  const expire = (): void => {
    for (const state of epochs.values()) {
      if (state.open === null || now() < state.open.expiresAt) continue
      state.epoch++
      end(state.open, 'abort')
    }
  }

  const admin: Admin = {
    async ready() {},
    async topics() {
      return [...topics].map(([name, { id, spec }]) => ({ name, id, partitions: spec.partitions }))
    },
    async createTopics(specs) {
      for (const spec of specs) {
        if (topics.has(spec.name)) continue
        const logs = Array.from({ length: spec.partitions }, (_, partition) => new PartitionLog(spec.name, partition))
        topics.set(spec.name, { id: topicId(spec.name), spec, logs })
        for (const group of groups.values()) {
          if (group.members.some((member) => member.topics.includes(spec.name))) group.rebalance()
        }
      }
    },
    async deleteTopics(names) {
      for (const name of names) {
        for (const log of topics.get(name)?.logs ?? []) {
          log.deleted = true
          for (const group of groups.values()) group.committed.delete(keyOf(log))
        }
        topics.delete(name)
        for (const group of groups.values()) {
          if (group.members.some((member) => member.topics.includes(name))) group.rebalance()
        }
      }
    },
    async topicConfig(name) {
      return { ...topicOf(name).spec.config }
    },
    async offsets(topic) {
      expire()
      return topicOf(topic).logs.map(({ partition, start, end }) => ({ partition, start, end }))
    },
    async committed(group, topic) {
      return topicOf(topic).logs.flatMap(({ partition }) => {
        const committed = groups.get(group)?.committed.get(keyOf({ topic, partition }))
        return committed === undefined ? [] : [{ topic, partition, ...committed }]
      })
    },
    async resetCommitted(name, positions) {
      const group = groupOf(name)
      if (group.members.length > 0) throw new Retry(`group ${name} has members`)
      for (const { offset, ...at } of positions) group.committed.set(keyOf(at), { offset, metadata: '' })
    },
  }

  return {
    admin,
    faults,

    async producer(): Promise<Producer> {
      let last: Promise<unknown> = Promise.resolve()
      let closed = false
      return {
        send(records) {
          if (closed) return Promise.reject(new Retry('the producer is closed'))
          const sent = last.then(async () => {
            await faults.beforeSend?.(records)
            expire()
            const positions = append(records)
            delivery.wake()
            await faults.afterSend?.(records, positions)
            return positions
          })
          last = sent.catch(() => {})
          return sent
        },
        async close() {
          closed = true
          await last
        },
      }
    },

    async transactionalProducer(id, { timeoutMs }): Promise<TransactionalProducer> {
      const state = epochs.get(id) ?? { epoch: 0, open: null }
      epochs.set(id, state)
      const epoch = ++state.epoch
      if (state.open !== null) end(state.open, 'abort')
      let spent: unknown = null
      let own: Transaction | null = null

      const assertNotFenced = (): void => {
        if (state.epoch !== epoch) throw new Fenced(`a younger producer of ${id} exists`)
      }

      const commit = async (records: readonly NewRecord[]): Promise<readonly Position[]> => {
        await faults.beforeTransaction?.(id, records)
        expire()
        assertNotFenced()
        own = { id, epoch, expiresAt: now() + timeoutMs, logs: new Set() }
        state.open = own
        const positions = append(records, own)
        await faults.beforeCommit?.(id, records)
        expire()
        assertNotFenced()
        end(own, 'commit')
        await faults.afterCommit?.(id, positions)
        return positions
      }

      return {
        async commit(records) {
          if (spent !== null) throw new Retry(`the producer of ${id} is spent`, { cause: spent })
          spent = new Error('one transaction at a time')
          try {
            const positions = await commit(records)
            spent = null
            return positions
          } catch (error) {
            spent = error
            throw error
          }
        },
        async close() {
          spent ??= new Error('the producer is closed')
          if (own !== null && state.open === own && state.epoch === epoch) end(own, 'abort')
        },
      }
    },

    async consumeGroup(options): Promise<GroupConsumer> {
      for (const topic of options.topics) topicOf(topic)
      return kept(await groupOf(options.group).join(options))
    },

    async tail({ topics: names, from, fetched }: TailOptions): Promise<Tail> {
      const logs = names.flatMap((name) => topicOf(name).logs)
      const cursors = logs.map((log): Cursor => {
        const cursor: Cursor = {
          log,
          bytesMax: FETCH_BYTES_MAX,
          next: from === 'start' ? log.start : log.end,
          told: -1,
          active: () => true,
          deliver: fetched,
          outOfRange() {
            cursor.next = log.start
          },
        }
        return cursor
      })
      for (const cursor of cursors) delivery.add(cursor)
      return kept({
        async close() {
          for (const cursor of cursors) delivery.remove(cursor)
        },
      })
    },

    async *read({ topic, partition, from, to, signal }) {
      let at = from
      while (at < to) {
        signal?.throwIfAborted()
        const log = topicOf(topic).logs[partition]!
        at = Math.max(at, log.start)
        const fetched = log.read(at, FETCH_BYTES_MAX)
        const next = Math.min(fetched.next, to)
        if (next <= at) {
          await new Promise<void>((resolve) => turn(resolve))
          expire()
        }
        if (next > at) yield { ...fetched, records: fetched.records.filter(({ offset }) => offset < to), next }
        at = Math.max(at, next)
      }
    },

    async close() {
      for (const one of [...open]) await one.close()
    },

    ends: (topic) => topicOf(topic).logs.map(({ end }) => end),
    records: (topic) => topicOf(topic).logs.flatMap((log) => log.committed()),
    compact(topic, tombstones = 'keep', before = []) {
      for (const log of topicOf(topic).logs) log.compact(tombstones, before[log.partition])
    },
    truncate({ topic, partition, offset }) {
      topicOf(topic).logs[partition]!.truncate(offset)
      delivery.wake()
    },
    idle: () => delivery.idle(),
  }
}

/** Kafka's defaults for `max.message.bytes` of a topic, and for one fetch of one partition. */
const MESSAGE_BYTES_MAX = 1_048_588
const FETCH_BYTES_MAX = 1024 * 1024
