import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reject, Retry, StartOver } from './errors.ts'
import { type Low, noLow } from './low.ts'
import { silent } from './observer.ts'
import { type Processor, processor, put } from './processor.ts'
import { testDriver } from './test-driver.ts'
import { type AvroSchema, topic } from './topic.ts'

const schema: AvroSchema = { type: 'record', name: 'Text', fields: [{ name: 'text', type: 'string' }] }
const low: AvroSchema = {
  type: 'record',
  name: 'Low',
  fields: [
    { name: 'low', type: 'long' },
    { name: 'at', type: 'long' },
  ],
}
const source = topic<{ text: string }>({
  name: 'source',
  about: '',
  schema,
  partitions: 'shared',
  keyed: true,
  config: {},
})
const sink = topic<{ text: string }>({
  name: 'sink',
  about: '',
  schema,
  lowSchema: low,
  partitions: 'shared',
  keyed: true,
  config: {},
})
const text = (value: unknown) => (value as { text: string }).text

/** Copies; what the test says happens first. */
const copying = (before: (texts: string[]) => void | Promise<void>, more: Partial<Processor<object>> = {}) =>
  processor<object>({
    name: 'copy-records',
    from: [source],
    to: [sink],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'nothing',
    async process({ records }) {
      await before(records.map(({ value }) => text(value)))
      return records.map(({ key, value }) => ({ publish: [put(sink, key, { text: text(value) })] }))
    },
    ...more,
  })

const records = (...texts: string[]) => texts.map((each, i) => ({ key: `acme/${i}`, value: { text: each } }))

for (const fault of [
  new SyntaxError('s'),
  new TypeError('t'),
  new RangeError('r'),
  new ReferenceError('f'),
  new Error('e'),
]) {
  test(`a record on which the processor throws a ${fault.name} is one dead letter, and its neighbours go through`, async () => {
    await using driver = await testDriver(
      copying((texts) => {
        if (texts.includes('poison')) throw fault
      }),
      {},
    )

    await driver.pipe(...records('a', 'poison', 'b'))
    for (let i = 0; i < 10; i++) await driver.advance(5_000)

    assert.deepEqual(
      (await driver.values(sink)).map((value) => value?.text),
      ['a', 'b'],
    )
    const letters = await driver.rejected()
    assert.equal(letters.length, 1)
    assert.match(letters[0]!.reason, /failed on this record 3 times/)
    assert.equal(driver.failure, null)
  })
}

test('when every record crashes the processor, it stops and says so: the fault is not in the records', async () => {
  await using driver = await testDriver(
    copying(() => {
      throw new TypeError('broken')
    }),
    {},
  )

  await driver.pipe(...records(...'abcdefgh'))
  for (let i = 0; i < 40; i++) await driver.advance(5_000)

  assert.match(String(driver.failure?.cause), /fault is not in the records/)
  assert.deepEqual(await driver.values(sink), [])
})

test('an outage makes no dead letter: the batch waits, and goes through when it is over', async () => {
  let down = true
  await using driver = await testDriver(
    copying(() => {
      if (down) throw new Retry('out of reach')
    }),
    {},
  )
  await driver.pipe(...records('a', 'b'))
  for (let i = 0; i < 20; i++) await driver.advance(5_000)
  const during = await driver.values(sink)

  down = false
  await driver.advance(5_000)

  assert.deepEqual(during, [])
  assert.deepEqual(
    (await driver.values(sink)).map((value) => value?.text),
    ['a', 'b'],
  )
  assert.deepEqual(await driver.rejected(), [])
})

test('a batch that is refused as a whole is refused record by record', async () => {
  await using driver = await testDriver(
    copying((texts) => {
      if (texts.includes('bad')) throw new Reject('text: is bad; write good text')
    }),
    {},
  )

  await driver.pipe(...records('a', 'bad', 'b'))

  assert.deepEqual(await driver.rejected(), [{ key: 'acme/1', reason: 'text: is bad; write good text' }])
  assert.equal((await driver.values(sink)).length, 2)
})

test('a stage that starts over reads again what is not committed, and nothing is lost', async () => {
  let doubt = true
  await using driver = await testDriver(
    copying((texts) => {
      if (doubt && texts.includes('b')) {
        doubt = false
        throw new StartOver('it is not known what was written')
      }
    }),
    {},
  )
  await driver.pipe(...records('a'))

  await driver.pipe({ key: 'acme/b', value: { text: 'b' } })
  await driver.advance(1_000)

  assert.deepEqual(
    (await driver.values(sink)).map((value) => value?.text),
    ['a', 'b'],
  )
  assert.equal(driver.failure, null)
})

test('each record carries the watermark as it was, and a progress record carries it on', async () => {
  await using driver = await testDriver(
    copying(() => {}, { watermark: { kind: 'carried', topic: sink } }),
    {},
  )

  await driver.pipe(...records('a'))
  await driver.pipe({ key: 'acme/b', value: { text: 'b' } })

  const written = await driver.records(sink)
  assert.deepEqual(
    written.map(({ headers }) => headers.low),
    ['-1', '0'],
  )
  assert.match(written[1]!.headers.position!, /^0:1:\d+$/)
  assert.equal((await driver.lows(sink)).at(-1), 1)
})

test('a record that is under way for long is overtaken by others, and holds the watermark back', async () => {
  const slow = Promise.withResolvers<void>()
  const stage = copying((texts) => (texts.includes('slow') ? slow.promise : undefined), {
    watermark: { kind: 'carried', topic: sink },
    batch: { recordsMax: 1, bytesMax: 10_000 },
    lanesMax: 2,
  })
  await using driver = await testDriver(stage, {})

  await driver.pipe(...records('slow', 'fast', 'faster'))
  const before = { texts: (await driver.values(sink)).map((value) => value?.text), lows: await driver.lows(sink) }
  slow.resolve()
  await driver.advance(0)

  assert.deepEqual(before, { texts: ['fast', 'faster'], lows: [] })
  assert.deepEqual((await driver.values(sink)).at(-1)?.text, 'slow')
  assert.equal((await driver.lows(sink)).at(-1), 2)
})

test('while its watermark is held a stage commits nothing, and afterwards nothing before the watermark is told', async () => {
  const lows = topic<{ text: string }>({ ...sink, name: 'lows' })
  const compared = Promise.withResolvers<Low>()
  let marking: Promise<void> | null = null
  const stage = processor<object>({
    name: 'mark-records',
    from: [sink],
    to: [lows],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'nothing',
    watermark: { kind: 'published', record: ({ low: told }) => put(lows, 'acme/low', { text: String(told) }) },
    start: async ({ start }) => ({
      offset: start,
      at: 0,
      hold: { state: 'marker-behind-log', reason: 'as the test says' },
    }),
    away: { compare: () => compared.promise },
    async process({ records: all }) {
      await marking
      return all.map(() => ({ publish: [] }))
    },
  })
  await using driver = await testDriver(stage, {})
  const committed = async () => (await driver.broker.admin.committed('freshet.mark-records', 'sink'))[0]!.offset
  const told = async () => (await driver.values(lows)).at(-1)!.text
  await driver.pipe({ key: 'acme/a', value: { text: 'a' }, headers: { low: '7' } })
  const held = { committed: await committed(), told: await told() }

  const marked = Promise.withResolvers<void>()
  marking = marked.promise
  compared.resolve(noLow)
  await driver.advance(5_000)
  const released = { committed: await committed(), told: await told() }
  marked.resolve()
  await driver.advance(5_000)

  assert.deepEqual(held, { committed: 0, told: '-1' })
  assert.deepEqual(released, { committed: 0, told: '-1' })
  assert.deepEqual({ committed: await committed(), told: await told() }, { committed: 1, told: '7' })
})

test('trace context goes along', async () => {
  await using driver = await testDriver(
    copying(() => {}),
    {},
  )

  await driver.pipe({ key: 'acme/a', value: { text: 'a' }, headers: { traceparent: '00-1-2-01' } })

  assert.equal((await driver.records(sink))[0]!.headers.traceparent, '00-1-2-01')
})

test('a processor that publishes where it does not declare is stopped', async () => {
  const elsewhere = topic<{ text: string }>({ ...sink, name: 'elsewhere' })
  const stage = copying(() => {}, {
    process: async ({ records: all }) => all.map(({ key }) => ({ publish: [put(elsewhere, key, { text: 'x' })] })),
  })
  await using driver = await testDriver(stage, {})

  await driver.pipe(...records('a'))

  assert.match(String(driver.failure?.cause), /publishes to elsewhere, which it does not declare/)
})

test('of one key, a rejected revision and the next one keep their order downstream', async () => {
  await using driver = await testDriver(
    copying(() => {}, { onReject: 'erase' }),
    {},
  )

  await driver.pipe({ key: 'acme/a', bytes: Buffer.from('not avro') }, { key: 'acme/a', value: { text: 'good' } })

  assert.deepEqual(
    (await driver.values(sink)).map((value) => value?.text ?? null),
    [null, 'good'],
  )
})

test('a partition that was paused for its backlog goes on after a rebalance', async () => {
  const held = Promise.withResolvers<void>()
  let holding = true
  const stage = copying(() => (holding ? held.promise : undefined), { batch: { recordsMax: 1, bytesMax: 1 } })
  await using driver = await testDriver(stage, {})
  const large = Array.from({ length: 20 }, (_, i) => ({
    key: `acme/${i}`,
    value: { text: String(i).padEnd(1_000_000, '.') },
  }))
  await driver.pipe(...large)

  const other = await driver.broker.consumeGroup({
    group: 'freshet.copy-records',
    topics: ['source'],
    on: { assigned: async ({ start }) => start, fetched() {}, revoked() {}, failed() {} },
  })
  await other.close()
  holding = false
  held.resolve()
  await driver.advance(1_000)

  assert.equal((await driver.values(sink)).length, 20)
})

for (const ends of ['is acknowledged', 'is lost']) {
  test(`a task that was given up says nothing more, also when a send of its ${ends} later`, async () => {
    const held = Promise.withResolvers<void>()
    const said: string[] = []
    const observer = { ...silent, moved: () => said.push('moved'), retried: () => said.push('retried') }
    const driver = await testDriver(
      copying(() => {}),
      {},
      { observer },
    )
    Object.assign(driver.broker.faults, {
      async beforeSend(sent: readonly { topic: string }[]) {
        if (sent.every(({ topic: to }) => to !== 'sink')) return
        await held.promise
        if (ends === 'is lost') throw new Retry('a request was lost')
      },
    })
    await driver.pipe(...records('a'))
    const closing = driver[Symbol.asyncDispose]()
    for (let i = 0; i < 10; i++) await driver.advance(1_000)
    const before = [...said]
    assert.ok(before.length > 0)

    held.resolve()
    await closing
    for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))

    assert.deepEqual(said, before)
  })
}
