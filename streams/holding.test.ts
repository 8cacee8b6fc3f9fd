import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Hold } from './holding.ts'
import { type Arrived, processor, put } from './processor.ts'
import { runProcessor } from './runner.ts'
import { States } from './states.ts'
import { testDriver } from './test-driver.ts'
import { type AvroSchema, topic } from './topic.ts'
import { faultsOf } from './topology.ts'

const record = (name: string, ...fields: [string, string][]): AvroSchema => ({
  type: 'record',
  name,
  fields: fields.map(([name, type]) => ({ name, type })),
})
const source = topic<{ text: string }>({
  name: 'source',
  about: '',
  schema: record('Text', ['text', 'string']),
  partitions: 'shared',
  keyed: false,
  config: {},
})
const sink = topic<{ text: string }>({ ...source, name: 'sink', partitions: 1 })
const positions = topic({
  ...source,
  name: 'positions',
  partitions: 1,
  schema: record('SourcePosition', ['topic', 'string'], ['partition', 'int'], ['next', 'long'], ['at', 'long']),
})

interface Door {
  readonly admit: (arrived: Arrived) => Hold | null
}

const copying = processor<Door>({
  name: 'copy-records',
  from: [source],
  to: [sink],
  batch: { recordsMax: 10, bytesMax: 10_000 },
  onReject: 'nothing',
  transactional: { positions },
  admit: (arrived, { admit }) => admit(arrived),
  async process({ records }) {
    return records.map(({ key, value }) => ({ publish: [put(sink, key, value as { text: string })] }))
  },
})

/** Of partition 0 so many records go on, and then no more until there is room again. */
function door(room: number) {
  const parts: number[] = []
  const one = {
    room,
    asked: 0,
    parts,
    retryAfterMs: 400,
    admit({ record: { partition }, part }: Arrived): Hold | null {
      one.asked++
      parts.push(part.ofStage)
      if (partition !== 0) return null
      if (one.room > 0) {
        one.room--
        return null
      }
      return { state: 'over-quota', reason: 'no room', retryAfterMs: one.retryAfterMs }
    },
  }
  return one
}

const records = (partition: number, from: number, to: number) =>
  Array.from({ length: to - from }, (_, i) => ({ key: `${partition}`, value: { text: `${from + i}` }, partition }))

test('what is not admitted waits in its partition, in order, and the other partitions go on', async () => {
  const ports = door(3)
  await using driver = await testDriver(copying, ports, { partitions: 2 })

  await driver.pipe(...records(0, 0, 20), ...records(1, 0, 20))
  const during = await texts(driver)
  ports.room = 100
  await driver.advance(400)

  assert.deepEqual([during[0], during[1]!.length], [['0', '1', '2'], 20])
  assert.deepEqual(await texts(driver), [numbers(20), numbers(20)])
  assert.equal(driver.failure, null)
})

test('the state says which partition waits and why, once however long it takes, and ends when nothing was held for a moment', async () => {
  const told: string[] = []
  const states = new States(() => 0, {
    began: ({ name, subject, detail }) => told.push(`${name} of ${subject} begins: ${detail}`),
    ended: ({ name }) => told.push(`${name} ends`),
  })
  const ports = door(0)
  await using driver = await testDriver(copying, ports, { partitions: 2, states })

  await driver.pipe(...records(0, 0, 30))
  for (let i = 0; i < 20; i++) {
    ports.room = 1
    await driver.advance(400)
  }
  const during = [...told]
  ports.room = 100
  await driver.advance(400)
  await driver.advance(4_000)
  const soonAfter = [...told]
  await driver.advance(1_000)

  assert.deepEqual(during, ['over-quota of copy-records on source/0 begins: no room'])
  assert.deepEqual(soonAfter, during)
  assert.deepEqual(told, [...during, 'over-quota ends'])
  assert.deepEqual(await texts(driver), [numbers(30), []])
})

test('a paused partition is fetched no further, and is asked about at most a second later whatever it is told', async () => {
  const ports = door(0)
  ports.retryAfterMs = 3_600_000
  await using driver = await testDriver(copying, ports, { partitions: 1 })
  await driver.pipe(...records(0, 0, 1))

  await driver.pipe(...records(0, 1, 10))
  const asked = ports.asked
  ports.room = 100
  await driver.advance(999)
  const early = await texts(driver)
  await driver.advance(1)

  assert.equal(asked, 1)
  assert.deepEqual(early, [[], []])
  assert.deepEqual(await texts(driver), [numbers(10), []])
})

test('a restart, a crash and a rebalance in the midst of a pause lose nothing, double nothing and keep the order', async () => {
  const ports = door(2)
  const states = new States(() => 0)
  await using driver = await testDriver(copying, ports, { partitions: 2, states })
  await driver.pipe(...records(0, 0, 12))

  ports.room = 2
  await driver.restart()
  ports.room = 2
  await driver.crash()
  const own = new States(() => 0)
  const { broker, serde, scope, clock } = driver
  const shared = { broker, serde, scope, clock, partitions: 2, deadLetters: sink as never }
  const observer = { handled() {}, moved() {}, retried() {}, lost() {}, task() {} }
  ports.room = 1
  const other = await runProcessor(copying, ports, {
    ...shared,
    observer,
    states: own,
    failed: (error) => assert.fail(error),
  })
  await driver.advance(0)
  const held = [...states.present(), ...own.present()].map(({ subject }) => subject)
  const parts = new Set(ports.parts.slice(-1))
  await other.close()
  ports.room = 100
  for (let i = 0; i < 10; i++) await driver.advance(1_000)

  assert.deepEqual(held, ['copy-records on source/0'])
  assert.deepEqual([...parts], [0.5])
  assert.deepEqual(await texts(driver), [numbers(12), []])
  assert.deepEqual(states.present(), [])
  assert.equal(driver.failure, null)
})

test('an admission that fails ends the stage with its reason, and the record is not passed', async () => {
  const admit = () => {
    throw new Error('the door is broken')
  }
  await using driver = await testDriver(copying, { admit }, { partitions: 1 })

  await driver.pipe(...records(0, 0, 2))

  assert.match(String(driver.failure?.cause), /the door is broken/)
  assert.deepEqual(await texts(driver), [[], []])
})

test('a declaration that admits records in their order has one lane', () => {
  const wrong = { ...copying, lanesMax: 2, transactional: undefined } as never

  const faults = faultsOf([wrong])

  assert.deepEqual(faults, ['copy-records: needs lanesMax 1, since it admits records in their order'])
})

const numbers = (count: number): string[] => Array.from({ length: count }, (_, i) => `${i}`)

/** What was copied, by the partition that it came from. */
async function texts({ records }: Pick<Awaited<ReturnType<typeof testDriver>>, 'records'>): Promise<string[][]> {
  const all = await records(sink)
  return ['0', '1'].map((key) =>
    all.filter((each) => each.key === key).map(({ value }) => (value as { text: string }).text),
  )
}
