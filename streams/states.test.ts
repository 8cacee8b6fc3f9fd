import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reject, Retry } from './errors.ts'
import { silent } from './observer.ts'
import { processor, put } from './processor.ts'
import { type NamedState, States } from './states.ts'
import { testDriver } from './test-driver.ts'
import { type AvroSchema, topic } from './topic.ts'

test('a state has one beginning and one end, however often it is raised, and takes the newest detail', () => {
  let now = 1_000
  const told: string[] = []
  const states = new States(() => now, {
    began: ({ name, detail }) => told.push(`${name} began: ${detail}`),
    ended: ({ name, detail }, ms) => told.push(`${name} ended after ${ms} ms: ${detail}`),
  })

  states.raise('index-unreachable', 'a on b/0', 'first')
  now = 3_000
  states.raise('index-unreachable', 'a on b/0', 'second')
  const during = states.present()
  states.clear('index-unreachable', 'a on b/0')
  states.clear('index-unreachable', 'a on b/0')

  assert.deepEqual(
    during.map(({ since, detail }) => [since, detail]),
    [[1_000, 'second']],
  )
  assert.deepEqual(told, ['index-unreachable began: first', 'index-unreachable ended after 2000 ms: second'])
  assert.deepEqual(states.present(), [])
})

test('what cannot be undone stays when its subject is gone', () => {
  const states = new States(() => 0)
  states.raise('index-unreachable', 's', '')
  states.raise('offset-out-of-range', 's', '5 offsets are lost', { stays: true })

  states.clearAll('s')

  assert.deepEqual(names(states), ['offset-out-of-range'])
})

const schema: AvroSchema = { type: 'record', name: 'Text', fields: [{ name: 'text', type: 'string' }] }
const shape = { about: '', schema, partitions: 1, keyed: true, config: {} }
const source = topic<{ text: string }>({ name: 'source', ...shape })
const sink = topic<{ text: string }>({ name: 'sink', ...shape })
const positions = topic({
  ...shape,
  name: 'positions',
  schema: {
    type: 'record',
    name: 'SourcePosition',
    fields: [
      { name: 'topic', type: 'string' },
      { name: 'partition', type: 'int' },
      { name: 'next', type: 'long' },
      { name: 'at', type: 'long' },
    ],
  } as AvroSchema,
})

/** Copies; rejects what is empty; what the test says happens first. */
const copying = (before: () => void = () => {}, transactional = false) =>
  processor<object>({
    name: 'copy-records',
    from: [source],
    to: [sink],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'nothing',
    ...(transactional && { transactional: { positions } }),
    async process({ records }) {
      before()
      return records.map(({ key, value }) => {
        const { text } = value as { text: string }
        return text === '' ? { reject: 'text: is empty' } : { publish: [put(sink, key, { text })] }
      })
    },
  })

const names = (states: States): string[] => states.present().map(({ name }) => name)

test('a stage that waits for a part of the world is in its state until the work goes through', async () => {
  let down = true
  await using driver = await testDriver(
    copying(() => {
      if (down) throw new Retry('Qdrant did not answer', { state: 'index-unreachable' })
    }),
    {},
  )
  await driver.pipe({ key: 'a', value: { text: 'a' } })
  const atOnce = names(driver.states)

  for (let i = 0; i < 5; i++) await driver.advance(5_000)
  const waiting = driver.states.present()
  down = false
  await driver.advance(5_000)

  assert.deepEqual(atOnce, [], 'one failure is daily life')
  assert.deepEqual(
    waiting.map(({ name, subject, blocking }: NamedState) => [name, subject, blocking]),
    [['index-unreachable', 'copy-records on source/0', true]],
  )
  assert.match(waiting[0]!.detail, /Qdrant did not answer/)
  assert.deepEqual(names(driver.states), [])
})

test('when a partition is given away, its states go with it', async () => {
  await using driver = await testDriver(
    copying(() => {
      throw new Retry('Qdrant did not answer', { state: 'index-unreachable' })
    }),
    {},
  )
  await driver.pipe({ key: 'a', value: { text: 'a' } })
  for (let i = 0; i < 3; i++) await driver.advance(5_000)
  const before = names(driver.states)

  const other = await driver.broker.consumeGroup({
    group: 'freshet.copy-records',
    topics: ['source'],
    on: { assigned: () => new Promise(() => {}), fetched() {}, revoked() {}, failed() {} },
  })
  const after = names(driver.states)
  await other.close()

  assert.deepEqual([before, after], [['index-unreachable'], []])
})

for (const transactional of [false, true]) {
  const kind = transactional ? 'a transactional stage' : 'a stage'

  test(`${kind} stops while the dead-letter topic refuses, skips nothing, and resumes`, async () => {
    await using driver = await testDriver(copying(undefined, transactional), {})
    const refuse = (records: readonly { topic: string }[]) => {
      if (records.some(({ topic: to }) => to === 'dead-letters')) throw new Reject('the broker refuses it')
    }
    driver.broker.faults.beforeSend = refuse
    driver.broker.faults.beforeTransaction = (_id, records) => refuse(records)

    await driver.pipe({ key: 'bad', value: { text: '' } }, { key: 'good', value: { text: 'good' } })
    for (let i = 0; i < 5; i++) await driver.advance(5_000)
    const during = { states: names(driver.states), written: await driver.values(sink), failure: driver.failure }
    delete driver.broker.faults.beforeSend
    delete driver.broker.faults.beforeTransaction
    for (let i = 0; i < 5; i++) await driver.advance(5_000)

    assert.deepEqual(during, { states: ['dead-letters-unavailable'], written: [], failure: null })
    assert.deepEqual(await driver.rejected(), [{ key: 'bad', reason: 'text: is empty' }])
    assert.deepEqual(
      (await driver.values(sink)).map((value) => value?.text),
      ['good'],
    )
    assert.deepEqual(names(driver.states), [])
  })

  test(`${kind} waits for a dead-letter topic that is gone, and goes on when it is there again`, async () => {
    await using driver = await testDriver(copying(undefined, transactional), {})
    await driver.broker.admin.deleteTopics(['dead-letters'])

    await driver.pipe({ key: 'bad', value: { text: '' } })
    for (let i = 0; i < 5; i++) await driver.advance(5_000)
    const during = names(driver.states)
    await driver.broker.admin.createTopics([{ name: 'dead-letters', partitions: 1, replicationFactor: 1, config: {} }])
    for (let i = 0; i < 5; i++) await driver.advance(5_000)

    assert.deepEqual(during, ['dead-letters-unavailable'])
    assert.equal((await driver.rejected()).length, 1)
    assert.deepEqual(names(driver.states), [])
  })
}

test('offsets that were removed before a transactional stage read them are counted, and the state stays', async () => {
  let lost = 0
  const observer = {
    ...silent,
    lost({ offsets }: { offsets: number }) {
      lost += offsets
    },
  }
  await using driver = await testDriver(copying(undefined, true), {}, { observer })
  await driver.pipe({ key: 'a', value: { text: 'a' } })
  await driver.stop()
  for (const text of ['b', 'c', 'd']) await driver.pipe({ key: text, value: { text } })
  driver.broker.truncate({ topic: 'source', partition: 0, offset: 3 })

  await driver.start()
  const during = driver.states.present()
  await driver.pipe({ key: 'e', value: { text: 'e' } })

  assert.deepEqual(
    during.map(({ name, blocking }) => [name, blocking]),
    [['offset-out-of-range', false]],
  )
  assert.match(during[0]!.detail, /2 offsets were removed/)
  assert.equal(lost, 2)
  assert.deepEqual(names(driver.states), ['offset-out-of-range'])
  assert.deepEqual(
    (await driver.values(sink)).map((value) => value?.text),
    ['a', 'd', 'e'],
  )
})

test('a source that was deleted and created again is noticed at work, read from its start, and it is said what that means', async () => {
  await using driver = await testDriver(copying(undefined, true), {})
  await driver.pipe({ key: 'a', value: { text: 'a' } }, { key: 'b', value: { text: 'b' } })
  await driver.broker.admin.deleteTopics(['source'])
  await driver.recheck()
  await driver.advance(1_000)
  const gone = driver.states.present()
  await driver.broker.admin.createTopics([{ name: 'source', partitions: 1, replicationFactor: 1, config: {} }])
  await driver.pipe({ key: 'c', value: { text: 'c' } })

  await driver.recheck()
  for (let i = 0; i < 5; i++) await driver.advance(5_000)
  const [state, ...more] = driver.states.present()

  assert.deepEqual(
    gone.map(({ name, blocking }) => [name, blocking]),
    [['source-recreated', true]],
  )
  assert.deepEqual([state?.name, state?.blocking, more], ['source-recreated', false, []])
  assert.match(state!.detail, /^2 offsets of the former topic were read/)
  assert.deepEqual(
    (await driver.values(sink)).map((value) => value?.text),
    ['a', 'b', 'c'],
  )
})
