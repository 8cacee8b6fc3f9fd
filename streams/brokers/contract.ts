import { strict as assert } from 'node:assert'
import { after, before, describe, test } from 'node:test'
import type {
  Assignment,
  Broker,
  Fetched,
  GroupHandler,
  NewRecord,
  Position,
  StoredRecord,
  TopicPartition,
} from '../broker.ts'
import { Fenced, NotOwner, Reject, Retry } from '../errors.ts'

export interface BrokerUnderTest {
  readonly broker: Broker
  /** A name that no other run uses. */
  uniqueTopic(prefix: string): string
  /** Drops what lies before the offset, as retention does. */
  truncate(before: Position): Promise<void>
  /** Writes the records in a transaction that nobody ends, as a producer does that dies before its commit. */
  abandon(id: string, records: readonly NewRecord[]): Promise<void>
  cleanup(): Promise<void>
}

/** What every implementation of the broker port must do, and a fake is allowed to be believed for. */
export function brokerContract(name: string, makeBroker: () => Promise<BrokerUnderTest>): void {
  describe(`${name} as a broker`, { timeout: 60_000 }, () => {
    let broker: Broker
    let under: BrokerUnderTest

    before(async () => {
      under = await makeBroker()
      broker = under.broker
      await broker.admin.ready(10_000)
    })

    after(() => under.cleanup())

    const createTopic = async (partitions: number, config: Record<string, string> = {}): Promise<string> => {
      const topic = under.uniqueTopic('contract')
      await broker.admin.createTopics([{ name: topic, partitions, replicationFactor: 1, config }])
      return topic
    }

    const send = async (...records: NewRecord[]) => {
      const producer = await broker.producer()
      const positions = await producer.send(records)
      await producer.close()
      return positions
    }

    const join = async (topic: string, group = topic, on: Partial<GroupHandler> = {}) => {
      const seen = new Seen()
      const consumer = await broker.consumeGroup({ group, topics: [topic], on: { ...seen.handler(), ...on } })
      return { seen, consumer }
    }

    const tail = async (topic: string, from: 'start' | 'end') => {
      const seen = new Seen()
      const tail = await broker.tail({ topics: [topic], from, ...seen.handler() })
      return { seen, close: () => tail.close() }
    }

    const end = async (topic: string, partition = 0): Promise<number> =>
      (await broker.admin.offsets(topic)).find((offsets) => offsets.partition === partition)!.end

    test('records of one partition are read in the order in which they were sent, at the positions that were answered', async () => {
      const topic = await createTopic(2)
      const producer = await broker.producer()

      const sent = await Promise.all(range(60).map((i) => producer.send([record(topic, i % 2, `k${i}`, `v${i}`)])))
      const { seen, close } = await tail(topic, 'start')
      await seen.until(() => seen.records.length === 60)

      for (const partition of [0, 1]) {
        const expected = range(60).filter((i) => i % 2 === partition)
        assert.deepEqual(
          seen.of(partition).map(({ value }) => String(value)),
          expected.map((i) => `v${i}`),
        )
        assert.deepEqual(
          seen.of(partition).map(({ offset }) => offset),
          expected.map((i) => sent[i]![0]!.offset),
        )
      }
      await close()
      await producer.close()
    })

    test('a send of several partitions answers with the place of each record, in the order given', async () => {
      const topic = await createTopic(2)

      const positions = await send(record(topic, 1, 'a', '1'), record(topic, 0, 'b', '2'), record(topic, 1, 'c', '3'))

      assert.deepEqual(positions, [
        { topic, partition: 1, offset: 0 },
        { topic, partition: 0, offset: 0 },
        { topic, partition: 1, offset: 1 },
      ])
    })

    test('headers, missing values and keys that are not text arrive as they were', async () => {
      const topic = await createTopic(1)

      await send(
        { topic, partition: 0, key: 'gone', value: null, headers: { text: 'é', bytes: Buffer.from([0, 255]) } },
        { topic, partition: 0, key: null, value: Buffer.alloc(0) },
        { topic, partition: 0, key: '\u0000\u0000\u0000\u0000', value: Buffer.from([1]) },
      )
      const { seen, close } = await tail(topic, 'start')
      await seen.until(() => seen.records.length === 3)

      const [gone, keyless, zeros] = seen.records
      assert.equal(gone!.value, null)
      assert.deepEqual(gone!.headers, { text: Buffer.from('é'), bytes: Buffer.from([0, 255]) })
      assert.equal(keyless!.key, null)
      assert.deepEqual(keyless!.value, Buffer.alloc(0))
      assert.deepEqual(zeros!.key, Buffer.alloc(4))
      await close()
    })

    test('a record that is too large is refused, and the ones that were sent with it go through', async () => {
      const topic = await createTopic(2, { 'max.message.bytes': '2000' })
      const producer = await broker.producer()

      const outcomes = await Promise.allSettled([
        producer.send([record(topic, 0, 'a', 'small')]),
        producer.send([record(topic, 0, 'b', 'x'.repeat(3_000))]),
        producer.send([record(topic, 0, 'c', 'small')]),
        producer.send([record(topic, 1, 'd', 'small')]),
      ])
      const next = await producer.send([record(topic, 0, 'e', 'small')])

      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
      )
      assert.ok((outcomes[1] as PromiseRejectedResult).reason instanceof Reject)
      assert.deepEqual(next, [{ topic, partition: 0, offset: 2 }])
      const { seen, close } = await tail(topic, 'start')
      await seen.until(() => seen.records.length === 4)
      assert.deepEqual(
        seen.of(0).map(({ key }) => String(key)),
        ['a', 'c', 'e'],
      )
      await close()
      await producer.close()
    })

    test('a topic that does not exist is worth another try, for producers and consumers', async () => {
      const topic = under.uniqueTopic('missing')

      await assert.rejects(broker.tail({ topics: [topic], from: 'start', ...new Seen().handler() }), Retry)
      await assert.rejects(join(topic), Retry)
    })

    test('a transaction becomes visible whole, and takes an offset of its own in each partition', async () => {
      const topic = await createTopic(2)
      const { seen, close } = await tail(topic, 'start')
      const producer = await broker.transactionalProducer(topic, { timeoutMs: 10_000 })

      const first = await producer.commit([record(topic, 0, 'a', '1'), record(topic, 1, 'b', '2')])
      const second = await producer.commit([record(topic, 0, 'c', '3')])
      await seen.until(() => seen.next(0) === 4 && seen.next(1) === 2)

      assert.deepEqual(
        [...first, ...second].map(({ partition, offset }) => [partition, offset]),
        [
          [0, 0],
          [1, 0],
          [0, 2],
        ],
      )
      assert.deepEqual(
        seen.of(0).map(({ offset, value }) => [offset, String(value)]),
        [
          [0, '1'],
          [2, '3'],
        ],
      )
      assert.equal(await end(topic, 0), 4)
      assert.equal(await end(topic, 1), 2)
      await close()
      await producer.close()
    })

    test('a younger producer of the same id fences the older one, whose transaction stays invisible', async () => {
      const topic = await createTopic(1)
      const zombie = await broker.transactionalProducer(topic, { timeoutMs: 10_000 })
      await zombie.commit([record(topic, 0, 'a', 'first')])
      const younger = await broker.transactionalProducer(topic, { timeoutMs: 10_000 })

      await assert.rejects(zombie.commit([record(topic, 0, 'a', 'zombie')]), Fenced)
      await younger.commit([record(topic, 0, 'a', 'second')])

      const { seen, close } = await tail(topic, 'start')
      await seen.until(() => seen.records.length === 2)
      assert.deepEqual(
        seen.records.map(({ value }) => String(value)),
        ['first', 'second'],
      )
      await assert.rejects(zombie.commit([record(topic, 0, 'a', 'again')]), Retry)
      await close()
      await zombie.close()
      await younger.close()
    })

    test('what a dead producer left in an open transaction holds readers back, and is never seen once its id is taken over', async () => {
      const topic = await createTopic(1)
      await under.abandon(topic, [record(topic, 0, 'a', 'abandoned'), record(topic, 0, 'b', 'abandoned')])
      await send(record(topic, 0, 'c', 'behind'))
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.end(0) === 3)
      const before = [seen.records.length, seen.next(0)]

      const younger = await broker.transactionalProducer(topic, { timeoutMs: 60_000 })
      await seen.until(() => seen.next(0) === 4)
      await younger.commit([record(topic, 0, 'a', 'taken over')])
      await seen.until(() => seen.next(0) === 6)

      assert.deepEqual(before, [0, 0])
      assert.deepEqual(
        seen.records.map(({ value, offset }) => [String(value), offset]),
        [
          ['behind', 2],
          ['taken over', 4],
        ],
      )
      await consumer.close()
      await younger.close()
    })

    test('when records are gone before they were read, the partition is assigned anew with where the log starts now', async () => {
      const topic = await createTopic(1)
      await send(...range(5).map((i) => record(topic, 0, `k${i}`, 'v')))
      const { seen, consumer } = await join(topic)
      consumer.pause({ topic, partition: 0 })
      await seen.until(() => seen.assignments.length === 1)
      const before = seen.records.length

      await under.truncate({ topic, partition: 0, offset: 3 })
      consumer.seek({ topic, partition: 0, offset: 1 })
      consumer.resume({ topic, partition: 0 })
      await seen.until(() => seen.records.length === before + 2)

      assert.deepEqual(seen.history, ['assigned 0', 'revoked 0', 'assigned 0'])
      assert.equal(seen.assignments[1]!.start, 3)
      assert.deepEqual(
        seen.records.slice(before).map(({ offset }) => offset),
        [3, 4],
      )
      await consumer.close()
    })

    test('readers come to the end of a log that ends with nothing but transaction markers', async () => {
      const topic = await createTopic(1)
      const producer = await broker.transactionalProducer(topic, { timeoutMs: 10_000 })
      const { seen, consumer } = await join(topic)
      await producer.commit([record(topic, 0, 'a', '1')])
      await seen.until(() => seen.next(0) === 2)

      const late = await join(topic, `${topic}-late`, { assigned: async () => 1 })
      await late.seen.until(() => late.seen.next(0) === 2)

      assert.equal(late.seen.records.length, 0)
      assert.equal(late.seen.end(0), 2)
      await consumer.close()
      await late.consumer.close()
      await producer.close()
    })

    test('an assignment tells the committed offset, what was noted with it, and where the log starts and ends', async () => {
      const topic = await createTopic(2)
      await send(record(topic, 0, 'a', '1'), record(topic, 0, 'b', '2'), record(topic, 1, 'c', '3'))
      const first = await join(topic)
      await first.seen.until(() => first.seen.records.length === 3)
      await first.consumer.commit([{ topic, partition: 0, offset: 1, metadata: 'é: noted' }])
      await first.consumer.close()

      const second = await join(topic)
      await second.seen.until(() => second.seen.assignments.length === 2)

      const byPartition = (a: Assignment, b: Assignment) => a.partition - b.partition
      assert.deepEqual(second.seen.assignments.sort(byPartition), [
        { topic, partition: 0, committed: 1, metadata: 'é: noted', start: 0, end: 2 },
        { topic, partition: 1, committed: null, metadata: '', start: 0, end: 1 },
      ])
      assert.deepEqual(await broker.admin.committed(topic, topic), [
        { topic, partition: 0, offset: 1, metadata: 'é: noted' },
      ])
      await second.seen.until(() => second.seen.records.length === 2)
      await second.consumer.close()
    })

    test('nothing of a partition is delivered before its start is known', async () => {
      const topic = await createTopic(1)
      await send(record(topic, 0, 'a', '1'), record(topic, 0, 'b', '2'))
      const start = Promise.withResolvers<number>()
      const assigned = Promise.withResolvers<void>()

      const { seen, consumer } = await join(topic, topic, {
        assigned() {
          assigned.resolve()
          return start.promise
        },
      })
      await assigned.promise
      await broker.admin.offsets(topic)
      const before = seen.batches.length
      start.resolve(1)
      await seen.until(() => seen.records.length === 1)

      assert.equal(before, 0)
      assert.equal(seen.records[0]!.offset, 1)
      await consumer.close()
    })

    test('a rejected assignment is reported and leaves the partition unread', async () => {
      const topic = await createTopic(1)
      await send(record(topic, 0, 'a', '1'))
      const failed = Promise.withResolvers<Error>()

      const { seen, consumer } = await join(topic, topic, {
        assigned: async () => {
          throw new Error('no place to start')
        },
        failed: failed.resolve,
      })

      assert.equal((await failed.promise).message, 'no place to start')
      assert.equal(seen.batches.length, 0)
      await consumer.close()
    })

    test('a paused partition is not delivered, the others are, and resuming goes on where it stopped', async () => {
      const topic = await createTopic(2)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.assignments.length === 2)
      consumer.pause({ topic, partition: 0 })

      await send(record(topic, 0, 'a', '1'), record(topic, 1, 'b', '2'))
      await send(record(topic, 0, 'c', '3'), record(topic, 1, 'd', '4'))
      await seen.until(() => seen.of(1).length === 2)
      const whilePaused = seen.of(0).length
      consumer.resume({ topic, partition: 0 })
      await seen.until(() => seen.of(0).length === 2)

      assert.equal(whilePaused, 0)
      assert.deepEqual(
        seen.of(0).map(({ offset }) => offset),
        [0, 1],
      )
      await consumer.close()
    })

    test('seek goes back, and forth', async () => {
      const topic = await createTopic(1)
      await send(...range(6).map((i) => record(topic, 0, `k${i}`, `v${i}`)))
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.records.length === 6)

      consumer.seek({ topic, partition: 0, offset: 4 })
      await seen.until(() => seen.records.length === 8)
      consumer.seek({ topic, partition: 0, offset: 1 })
      await seen.until(() => seen.records.length === 13)

      assert.deepEqual(
        seen.records.slice(6).map(({ offset }) => offset),
        [4, 5, 1, 2, 3, 4, 5],
      )
      await consumer.close()
    })

    test('two members share the partitions, and when one leaves the other takes over from its commits', async () => {
      const topic = await createTopic(4)
      const first = await join(topic)
      await first.seen.until(() => first.seen.owned.size === 4)
      const second = await join(topic)
      await first.seen.until(() => first.seen.owned.size === 2)
      await second.seen.until(() => second.seen.owned.size === 2)

      await send(...range(4).map((partition) => record(topic, partition, 'k', 'v')))
      await first.seen.until(() => first.seen.records.length === 2)
      await second.seen.until(() => second.seen.records.length === 2)
      const seconds = second.seen.records.map(({ partition }) => partition)
      await second.consumer.commit(seconds.map((partition) => ({ topic, partition, offset: 1 })))
      await second.consumer.close()
      await first.seen.until(() => first.seen.owned.size === 4)

      assert.equal(new Set([...first.seen.records, ...second.seen.records].map(({ partition }) => partition)).size, 4)
      assert.ok(first.seen.revocations.flat().length >= 6, 'everything is revoked at each rebalance')
      const takenOver = first.seen.assignments.slice(-4).filter(({ partition }) => seconds.includes(partition))
      assert.deepEqual(
        takenOver.map(({ committed }) => committed),
        [1, 1],
      )
      await first.consumer.close()
    })

    test('who is in a group can be told: whoever joined, and nobody who left', async () => {
      const topic = await createTopic(2)
      const first = await join(topic)
      await first.seen.until(() => first.seen.owned.size === 2)
      const second = await join(topic)
      await second.seen.until(() => second.seen.owned.size === 1)
      await first.seen.until(() => first.seen.owned.size === 1)

      const [one, two] = [first.consumer.id(), second.consumer.id()]
      const both = await first.consumer.members()
      await second.consumer.close()
      await first.seen.until(() => first.seen.owned.size === 2)
      const left = await first.consumer.members()

      assert.notEqual(one, two)
      assert.deepEqual([...both].sort(), [one, two].sort())
      assert.deepEqual(left, [one])
      await first.consumer.close()
    })

    test('partitions are revoked before they are assigned again', async () => {
      const topic = await createTopic(1)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.owned.size === 1)

      const second = await join(topic)
      await second.consumer.close()
      await seen.until(() => seen.assignments.length >= 2 || seen.revocations.length >= 1)
      await seen.until(() => seen.owned.size === 1)

      assert.deepEqual(seen.history.slice(0, 3), ['assigned 0', 'revoked 0', 'assigned 0'])
      await consumer.close()
    })

    test('a pause outlives a rebalance', async () => {
      const topic = await createTopic(1)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.owned.size === 1)
      consumer.pause({ topic, partition: 0 })

      const second = await join(topic)
      await second.consumer.close()
      await seen.until(() => seen.assignments.length >= 2 && seen.owned.size === 1)
      await send(record(topic, 0, 'a', '1'))
      const other = await tail(topic, 'start')
      await other.seen.until(() => other.seen.records.length === 1)
      const whilePaused = seen.records.length
      consumer.resume({ topic, partition: 0 })
      await seen.until(() => seen.records.length === 1)

      assert.equal(whilePaused, 0)
      await other.close()
      await consumer.close()
    })

    test('a commit for a partition that was given away is refused', async () => {
      const topic = await createTopic(2)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.owned.size === 2)
      const second = await join(topic)
      await second.seen.until(() => second.seen.owned.size === 1)
      await seen.until(() => seen.owned.size === 1)
      const [lost] = second.seen.assignments

      const commit = consumer.commit([{ topic, partition: lost!.partition, offset: 0 }])

      await assert.rejects(commit, NotOwner)
      assert.equal(consumer.owns(lost!), false)
      assert.equal(second.consumer.owns(lost!), true)
      await consumer.close()
      await second.consumer.close()
    })

    test('after close nothing is delivered, owned or committed', async () => {
      const topic = await createTopic(1)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.owned.size === 1)

      await consumer.close()
      await send(record(topic, 0, 'a', '1'))
      const other = await tail(topic, 'start')
      await other.seen.until(() => other.seen.records.length === 1)

      assert.equal(seen.records.length, 0)
      assert.equal(consumer.owns({ topic, partition: 0 }), false)
      await assert.rejects(consumer.commit([{ topic, partition: 0, offset: 1 }]), NotOwner)
      await other.close()
    })

    test('a tail from the end sees only what is written from then on', async () => {
      const topic = await createTopic(1)
      await send(record(topic, 0, 'old', '1'))

      const { seen, close } = await tail(topic, 'end')
      await send(record(topic, 0, 'new', '2'))
      await seen.until(() => seen.records.length > 0)

      assert.deepEqual(
        seen.records.map(({ key, offset }) => [String(key), offset]),
        [['new', 1]],
      )
      await close()
    })

    test('a large backlog arrives in fetches within their bound, whole and in order', async () => {
      const topic = await createTopic(1)
      const value = 'x'.repeat(10_000)
      for (let i = 0; i < 10; i++) {
        await send(...range(20).map((j) => record(topic, 0, `k${i * 20 + j}`, value)))
      }

      const seen = new Seen()
      const consumer = await broker.consumeGroup({
        group: topic,
        topics: [topic],
        fetchBytesMax: 300_000,
        on: seen.handler(),
      })
      await seen.until(() => seen.records.length === 200)

      assert.deepEqual(
        seen.records.map(({ offset }) => offset),
        range(200),
      )
      for (const { records } of seen.batches) assert.ok(records.length <= 40)
      await consumer.close()
    })

    test('a range of a partition is read whole and in order, from where the log begins to where it was asked to end', async () => {
      const topic = await createTopic(2)
      const producer = await broker.producer()
      await producer.send(range(300).map((i) => record(topic, 0, `k${i}`, `${i} ${'x'.repeat(20_000)}`)))
      await producer.close()
      const transactional = await broker.transactionalProducer(topic, { timeoutMs: 10_000 })
      await transactional.commit([record(topic, 0, 'last', 'in a transaction')])
      await under.truncate({ topic, partition: 0, offset: 10 })
      const offsetsIn = async (from: number, to: number) => {
        const fetches: Fetched[] = []
        for await (const fetched of broker.read({ topic, partition: 0, from, to })) fetches.push(fetched)
        return {
          next: fetches.at(-1)?.next,
          offsets: fetches.flatMap(({ records }) => records.map(({ offset }) => offset)),
        }
      }

      const [whole, part, none] = [await offsetsIn(0, 302), await offsetsIn(100, 250), await offsetsIn(7, 7)]

      assert.deepEqual(whole, { next: 302, offsets: range(291).map((i) => i + 10) })
      assert.deepEqual(part, { next: 250, offsets: range(150).map((i) => i + 100) })
      assert.deepEqual(none, { next: undefined, offsets: [] })
      await transactional.close()
    })

    test('reading a range waits for what is not there yet, and ends when it is told to', async () => {
      const topic = await createTopic(1)
      const stop = new AbortController()
      const read = (to: number, signal?: AbortSignal) =>
        broker.read({ topic, partition: 0, from: 0, to, ...(signal && { signal }) })
      const first = (async () => {
        for await (const { records } of read(1)) return records.map(({ key }) => String(key))
        return []
      })()
      const never = (async () => {
        for await (const _ of read(5, stop.signal));
      })()

      await send(record(topic, 0, 'a', '1'))
      const seen = await first
      stop.abort(new Error('enough'))

      assert.deepEqual(seen, ['a'])
      await assert.rejects(never, /enough/)
    })

    test('a group without members can be set to other offsets, one with members cannot', async () => {
      const topic = await createTopic(1)
      const { seen, consumer } = await join(topic)
      await seen.until(() => seen.owned.size === 1)

      await assert.rejects(broker.admin.resetCommitted(topic, [{ topic, partition: 0, offset: 7 }]), Retry)
      await consumer.close()
      await broker.admin.resetCommitted(topic, [{ topic, partition: 0, offset: 7 }])

      assert.deepEqual(await broker.admin.committed(topic, topic), [{ topic, partition: 0, offset: 7, metadata: '' }])
    })

    test('a topic that is deleted and created again has another id, and what exists is left as it is', async () => {
      const topic = await createTopic(2, { 'cleanup.policy': 'compact' })
      const idOf = async () => (await broker.admin.topics()).find(({ name }) => name === topic)?.id
      const first = await idOf()

      await broker.admin.createTopics([{ name: topic, partitions: 5, replicationFactor: 1, config: {} }])
      const untouched = await idOf()
      await broker.admin.deleteTopics([topic])
      const gone = await idOf()
      await broker.admin.createTopics([{ name: topic, partitions: 3, replicationFactor: 1, config: {} }])

      assert.equal(untouched, first)
      assert.equal(gone, undefined)
      assert.notEqual(await idOf(), first)
      assert.match((await idOf())!, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/)
      assert.equal((await broker.admin.offsets(topic)).length, 3)
    })

    test('the configuration of a topic is what it was created with', async () => {
      const topic = await createTopic(1, { 'cleanup.policy': 'compact', 'max.message.bytes': '12345' })

      const config = await broker.admin.topicConfig(topic)

      assert.equal(config['cleanup.policy'], 'compact')
      assert.equal(config['max.message.bytes'], '12345')
    })
  })
}

/** What a reader was told, and a way to wait for it. */
class Seen {
  readonly batches: Fetched[] = []
  readonly assignments: Assignment[] = []
  readonly revocations: (readonly TopicPartition[])[] = []
  readonly history: string[] = []
  readonly owned = new Set<number>()
  readonly #waiting = new Set<() => void>()
  #failure: Error | null = null

  get records(): readonly StoredRecord[] {
    return this.batches.flatMap(({ records }) => records)
  }

  of(partition: number): readonly StoredRecord[] {
    return this.records.filter((record) => record.partition === partition)
  }

  next(partition: number): number | undefined {
    return this.batches.findLast((batch) => batch.partition === partition)?.next
  }

  end(partition: number): number | undefined {
    return this.batches.findLast((batch) => batch.partition === partition)?.end
  }

  handler(): GroupHandler {
    return {
      assigned: async (assignment) => {
        this.assignments.push(assignment)
        this.owned.add(assignment.partition)
        this.history.push(`assigned ${assignment.partition}`)
        this.#changed()
        return assignment.committed ?? assignment.start
      },
      fetched: (batch) => {
        this.batches.push(batch)
        this.#changed()
      },
      revoked: (partitions) => {
        this.revocations.push(partitions)
        for (const { partition } of partitions) {
          this.owned.delete(partition)
          this.history.push(`revoked ${partition}`)
        }
        this.#changed()
      },
      failed: (error) => {
        this.#failure = error
        this.#changed()
      },
    }
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      if (this.#failure !== null) throw this.#failure
      await new Promise<void>((resolve) => this.#waiting.add(resolve))
    }
  }

  #changed(): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const wake of waiting) wake()
  }
}

const record = (topic: string, partition: number, key: string, value: string): NewRecord => ({
  topic,
  partition,
  key,
  value: Buffer.from(value),
})

const range = (length: number): number[] => Array.from({ length }, (_, i) => i)
