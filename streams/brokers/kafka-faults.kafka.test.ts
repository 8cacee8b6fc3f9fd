import { strict as assert } from 'node:assert'
import { randomUUID } from 'node:crypto'
import net from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { Assignment, Broker, Fetched, NewRecord, StoredRecord } from '../broker.ts'
import { NotOwner, Retry } from '../errors.ts'
import { kafkaBroker } from './kafka.ts'
import { ADDRESS } from './kafka-test-address.ts'

/** A line to Kafka that can be cut, or lose what comes back. */
class BadLine {
  static readonly #host = ADDRESS.split(':')[0]!
  static readonly #port = Number(ADDRESS.split(':')[1])
  readonly #server: net.Server
  readonly #pairs = new Set<{ near: net.Socket; far: net.Socket; deaf: boolean }>()
  #answersUntilCut = 0
  #refused = () => {}
  refusing = false

  constructor() {
    this.#server = net.createServer((near) => {
      if (this.refusing) {
        this.#refused()
        return near.destroy()
      }
      const far = net.connect({ host: BadLine.#host, port: BadLine.#port, noDelay: true })
      const pair = { near, far, deaf: false }
      this.#pairs.add(pair)
      near.on('data', (bytes) => far.write(bytes))
      far.on('data', (bytes) => {
        if (this.#answersUntilCut > 0 && --this.#answersUntilCut === 0) this.cut()
        else if (!pair.deaf) near.write(bytes)
      })
      for (const [one, other] of [
        [near, far],
        [far, near],
      ] as const) {
        one.on('error', () => {})
        one.on('close', () => {
          this.#pairs.delete(pair)
          other.destroy()
        })
      }
    })
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
  }

  readonly dial = (): net.Socket =>
    net.connect({ port: (this.#server.address() as net.AddressInfo).port, host: '127.0.0.1', noDelay: true })

  /** The n-th answer from now on is lost, and all connections with it. */
  cutAtAnswer(n: number): void {
    this.#answersUntilCut = n
  }

  /** Resolves when so many more connections were refused. */
  async refuse(count: number): Promise<void> {
    this.refusing = true
    for (let left = count; left > 0; left--) {
      await new Promise<void>((resolve) => {
        this.#refused = resolve
      })
    }
    this.refusing = false
  }

  /** What Kafka answers from now on is lost, on the connections that are there. */
  loseAnswers(): void {
    for (const pair of this.#pairs) pair.deaf = true
  }

  cut(): void {
    for (const { near } of this.#pairs) near.destroy()
  }

  close(): void {
    this.cut()
    this.#server.close()
  }
}

class Reader {
  readonly records: StoredRecord[] = []
  readonly assignments: Assignment[] = []
  revocations = 0
  #wake = () => {}

  readonly handler = {
    assigned: async (assignment: Assignment) => {
      this.assignments.push(assignment)
      this.#wake()
      return assignment.committed ?? assignment.start
    },
    fetched: ({ records }: Fetched) => {
      this.records.push(...records)
      this.#wake()
    },
    revoked: () => {
      this.revocations++
      this.#wake()
    },
    failed: (error: Error) => assert.fail(error),
  }

  async until(done: () => boolean): Promise<void> {
    while (!done()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  get values(): string[] {
    return this.records.map(({ value }) => String(value))
  }
}

describe('Kafka behind a bad line', { timeout: 90_000 }, () => {
  const line = new BadLine()
  const topics: string[] = []
  /** Sees what is really there. */
  let observer: Broker
  let broker: Broker

  before(async () => {
    await line.listen()
    observer = kafkaBroker({ brokers: [ADDRESS], clientId: 'observer' })
    broker = kafkaBroker({ brokers: [ADDRESS], clientId: 'bad-line', dial: line.dial })
    await observer.admin.ready(10_000)
  })

  after(async () => {
    await broker.close()
    line.close()
    if (topics.length > 0) await observer.admin.deleteTopics(topics)
    await observer.close()
  })

  const createTopic = async (): Promise<string> => {
    const name = `faults-${randomUUID()}`
    topics.push(name)
    await observer.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config: {} }])
    return name
  }

  const watch = async (topic: string): Promise<Reader> => {
    const reader = new Reader()
    await observer.tail({ topics: [topic], from: 'start', ...reader.handler })
    return reader
  }

  const record = (topic: string, value: string): NewRecord => ({
    topic,
    partition: 0,
    key: 'k',
    value: Buffer.from(value),
  })

  test('when the answer to a send is lost, each record is there once and in order, at the answered place', async () => {
    const topic = await createTopic()
    const reader = await watch(topic)
    const producer = await broker.producer()
    await producer.send([record(topic, '0')])

    line.loseAnswers()
    const sends = [1, 2, 3].map((i) => producer.send([record(topic, String(i))]))
    await reader.until(() => reader.values.includes('1'))
    const more = [4, 5].map((i) => producer.send([record(topic, String(i))]))
    line.cut()
    const positions = await Promise.all([...sends, ...more])
    await reader.until(() => reader.values.includes('5'))

    assert.deepEqual(reader.values, ['0', '1', '2', '3', '4', '5'])
    assert.deepEqual(
      positions.map(([position]) => position!.offset),
      [1, 2, 3, 4, 5],
    )
    await producer.close()
  })

  for (const n of [1, 2, 3, 4]) {
    test(`when answer ${n} to a transaction is lost, it is there whole or not at all, and only what was answered is sure`, async () => {
      const topic = await createTopic()
      const reader = await watch(topic)
      const producer = await broker.transactionalProducer(topic, { timeoutMs: 60_000 })
      await producer.commit([record(topic, '0')])

      line.cutAtAnswer(n)
      const outcome = await producer.commit([record(topic, '1a'), record(topic, '1b')]).catch((error) => error)
      line.cutAtAnswer(0)
      const next = await broker.transactionalProducer(topic, { timeoutMs: 60_000 })
      await next.commit([record(topic, '2')])
      await reader.until(() => reader.values.includes('2'))

      const found = reader.values.join(' ')
      assert.ok(found === '0 1a 1b 2' || (found === '0 2' && outcome instanceof Retry), `${found}, ${outcome}`)
      if (outcome instanceof Retry) await assert.rejects(producer.commit([record(topic, 'again')]), Retry)
      await producer.close()
      await next.close()
    })
  }

  test('a connection that breaks costs a consumer neither records nor its partitions', async () => {
    const topic = await createTopic()
    const reader = new Reader()
    const consumer = await broker.consumeGroup({ group: topic, topics: [topic], on: reader.handler })
    const producer = await observer.producer()
    await producer.send([record(topic, '0')])
    await reader.until(() => reader.records.length === 1)

    for (let i = 1; i <= 5; i++) {
      line.cut()
      await producer.send([record(topic, String(i))])
      await reader.until(() => reader.records.length === i + 1)
    }
    await consumer.commit([{ topic, partition: 0, offset: 6, metadata: '' }])

    assert.deepEqual(reader.values, ['0', '1', '2', '3', '4', '5'])
    assert.equal(reader.revocations, 0)
    assert.deepEqual(await observer.admin.committed(topic, topic), [{ topic, partition: 0, offset: 6, metadata: '' }])
    await consumer.close()
    await producer.close()
  })

  test('a member that hears nothing for its session is nobody, though nobody told it, and comes back when the line heals', async () => {
    const topic = await createTopic()
    const reader = new Reader()
    const options = { group: topic, topics: [topic], sessionTimeoutMs: 6_000, on: reader.handler }
    const consumer = await broker.consumeGroup(options)
    await reader.until(() => reader.assignments.length === 1)

    line.refusing = true
    line.cut()
    const other = new Reader()
    const heir = await observer.consumeGroup({ ...options, on: other.handler })
    await other.until(() => other.assignments.length === 1)
    const ownedByBoth = consumer.owns({ topic, partition: 0 })
    const zombie = consumer.commit([{ topic, partition: 0, offset: 7 }])
    await assert.rejects(zombie, NotOwner)
    await heir.close()
    line.refusing = false
    await reader.until(() => reader.assignments.length === 2)

    assert.equal(ownedByBoth, false)
    assert.equal(reader.revocations, 1)
    assert.equal(reader.assignments[1]!.committed, null)
    await consumer.close()
  })

  test('when a connection goes silent for ever, what was sent on it goes through on another, once', async () => {
    const topic = await createTopic()
    const reader = await watch(topic)
    const producer = await broker.producer()
    await producer.send([record(topic, '0')])

    line.loseAnswers()
    const [position] = await producer.send([record(topic, '1')])
    await reader.until(() => reader.records.length >= 2)

    assert.equal(position!.offset, 1)
    assert.deepEqual(reader.values, ['0', '1'])
    await producer.close()
  })

  test('while Kafka is out of reach a send waits, and goes through when it is back', async () => {
    const topic = await createTopic()
    const reader = await watch(topic)
    const producer = await broker.producer()
    await producer.send([record(topic, '0')])

    const outage = line.refuse(6)
    line.cut()
    const sent = producer.send([record(topic, '1')])
    await outage
    const [position] = await sent
    await reader.until(() => reader.records.length === 2)

    assert.equal(position!.offset, 1)
    await producer.close()
  })

  test('a producer that cannot connect says that it is worth another try', async () => {
    const topic = await createTopic()
    const producer = await broker.producer()
    line.refusing = true

    await assert.rejects(producer.send([record(topic, '0')]), Retry)
    line.refusing = false
    const [position] = await producer.send([record(topic, '1')])

    assert.equal(position!.offset, 0)
    await producer.close()
  })
})
