import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualClock } from './clock.ts'
import { attempted, type Crashes, done, isCondemned, isolates, noCrashes, passed, startAgain } from './crashes.ts'
import { type Low, noLow } from './low.ts'
import { processor, put } from './processor.ts'
import { type TestDriver, testDriver } from './test-driver.ts'
import { type AvroSchema, topic } from './topic.ts'

const again = (before: Crashes, alive = false, offset = 7) => startAgain(before, { alive, own: 'me', offset })
const times = (count: number, before: Crashes = noCrashes): Crashes =>
  count === 0 ? before : times(count - 1, again(before))
/** Starts each of which tries the record by itself. */
const tries = (count: number, before: Crashes, offset = 7): Crashes =>
  count === 0 ? before : tries(count - 1, attempted(again(before), offset), offset)

test('after three starts at one place records go one by one, and after three attempts at one alone it is condemned', () => {
  const third = times(3)
  const tried = tries(3, third)
  const condemned = tries(4, third)

  assert.deepEqual([isolates(third, 7), isolates(tried, 7)], [false, true])
  assert.deepEqual([isCondemned(tried, 7), isCondemned(condemned, 7), isCondemned(condemned, 8)], [false, true, false])
})

test('a record is counted only when it is tried, not when its task starts or when what lies before it is repeated', () => {
  const ahead = attempted(tries(1, times(3)), 9)
  const repeated = times(10, ahead)

  assert.deepEqual([attempted(repeated, 7), attempted(repeated, 8)], [repeated, repeated])
  assert.equal(isCondemned(attempted(repeated, 9), 9), false)
  assert.equal(isCondemned(tries(4, done(ahead, 9), 9), 9), false, 'it was done')
})

test('whoever only lost the partition did not crash', () => {
  const third = times(3)
  const alone = tries(3, third)

  const moved = again(third, true)
  const movedAlone = attempted(again(alone, true), 7)

  assert.equal(moved.starts, 3)
  assert.equal(isolates(moved, 7), false)
  assert.equal(isCondemned(movedAlone, 7), false)
})

test('progress and a clean end begin the count anew, and records go one by one up to the end of the stretch', () => {
  const isolated = tries(1, times(3))
  const { until } = isolated

  const on = passed(isolated, 9)
  const through = passed(isolated, until)

  assert.deepEqual([on.starts, isolates(on, 9)], [0, true])
  assert.deepEqual(through, noCrashes)
  assert.equal(attempted(again(isolated, false, 8), 8).starts, 1, 'a record behind the place was passed')
})

const schema: AvroSchema = { type: 'record', name: 'Text', fields: [{ name: 'text', type: 'string' }] }
const shape = { about: '', schema, partitions: 1, keyed: true, config: {} }
const source = topic<{ text: string }>({ name: 'source', ...shape })
const shared = topic<{ text: string }>({ name: 'shared', ...shape, partitions: 3, keyed: false })
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

/** Copies. On some texts the process dies: nothing comes back. */
const copying = (deadly: (texts: readonly string[]) => boolean, transactional: boolean) => {
  const worked: string[][] = []
  const stage = processor<object>({
    name: 'copy-records',
    from: [source],
    to: [sink],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'erase',
    ...(transactional ? { transactional: { positions } } : { lanesMax: 4 }),
    async process({ records }) {
      const texts = records.map(({ value }) => (value as { text: string }).text)
      worked.push(texts)
      if (deadly(texts)) await new Promise(() => {})
      return records.map(({ key }, i) => ({ publish: [put(sink, key, { text: texts[i]! })] }))
    },
  })
  return { stage, worked }
}

const records = (...texts: string[]) => texts.map((text) => ({ key: `acme/${text}`, value: { text } }))

for (const transactional of [false, true]) {
  const kind = transactional ? 'a transactional stage' : 'a stage'

  test(`a record that ends the process of ${kind} is found, becomes a dead letter, and all others go through`, async () => {
    const { stage, worked } = copying((texts) => texts.includes('bomb'), transactional)
    await using driver = await testDriver(stage, {})
    const crashes: number[] = []
    await driver.stop()
    await driver.pipe(...records('a', 'b', 'bomb', 'c', 'd'))
    await driver.start()

    for (let i = 1; i <= 10 && (await driver.rejected()).length === 0; i++) {
      crashes.push(i)
      await driver.crash()
    }
    await driver.advance(1_000)

    const letters = await driver.rejected()
    assert.deepEqual(
      letters.map(({ key }) => key),
      ['acme/bomb'],
    )
    assert.match(letters[0]!.reason, /^the process ended 3 times while it worked on this record alone/)
    assert.equal(crashes.length, 6, 'three to notice, three to be sure')
    assert.equal(worked.filter((texts) => texts.length === 1 && texts[0] === 'bomb').length, 3)
    const written = (await driver.records(sink)).map(({ key, value }) => [
      key,
      (value as { text: string } | null)?.text,
    ])
    assert.deepEqual(Object.fromEntries(written), {
      'acme/a': 'a',
      'acme/b': 'b',
      'acme/bomb': undefined,
      'acme/c': 'c',
      'acme/d': 'd',
    })
    assert.equal(driver.failure, null)
  })
}

interface Several extends AsyncDisposable {
  readonly driver: TestDriver
  /** Of the texts, the first into partition 0, the next into the one after it. */
  pipe(...texts: string[]): Promise<void>
  /** The process dies of each bomb that it begins with, until there are so many dead letters, or it begins with none. */
  crashUntilRejected(letters: number): Promise<void>
}

/** Copies three partitions at the same time. A text that ends in `bomb` ends the process, any other takes a while. */
async function severalPartitions({ msOfBatch }: { msOfBatch: number }): Promise<Several> {
  const clock = virtualClock()
  let begun = false
  const stage = processor<object>({
    name: 'copy-records',
    from: [shared],
    to: [sink],
    batch: { recordsMax: 10, bytesMax: 10_000 },
    onReject: 'erase',
    async process({ records }) {
      const texts = records.map(({ value }) => (value as { text: string }).text)
      const deadly = texts.some((text) => text.endsWith('bomb'))
      begun ||= deadly
      if (deadly) await new Promise(() => {})
      if (msOfBatch > 0) await clock.wait(msOfBatch)
      return records.map(({ key }, i) => ({ publish: [put(sink, key, { text: texts[i]! })] }))
    },
  })
  const driver = await testDriver(stage, {}, { partitions: 3, clock })
  return {
    driver,
    async pipe(...texts) {
      for (const [partition, text] of texts.entries())
        await driver.pipe({ key: `acme/${text}`, value: { text }, partition })
    },
    async crashUntilRejected(letters) {
      for (let i = 1; i <= 40 && (await driver.rejected()).length < letters; i++) {
        for (let waited = 0; waited < 20 && !begun; waited++) await driver.advance(10)
        if (!begun) break
        begun = false
        await driver.crash()
      }
    },
    [Symbol.asyncDispose]: () => driver[Symbol.asyncDispose](),
  }
}

test('what is under way in other partitions when a record ends the process is not taken for it', async () => {
  await using several = await severalPartitions({ msOfBatch: 50 })
  const { driver } = several
  await driver.stop()
  await several.pipe('slow', 'bomb', 'slower')
  await driver.start()

  await several.crashUntilRejected(1)
  await driver.advance(1_000)

  assert.deepEqual(
    (await driver.rejected()).map(({ key }) => key),
    ['acme/bomb'],
  )
  const written = (await driver.records(sink)).flatMap(({ key, value }) => (value === null ? [] : [key]))
  assert.deepEqual([...new Set(written)].sort(), ['acme/slow', 'acme/slower'])
})

test('restarts and rebalances without progress are no crashes', async () => {
  let stuck = true
  const { stage, worked } = copying(() => stuck, false)
  await using driver = await testDriver(stage, {})
  await driver.pipe(...records('a', 'b'))

  for (let i = 0; i < 5; i++) await driver.restart()
  for (let i = 0; i < 5; i++) {
    const other = await driver.broker.consumeGroup({
      group: 'freshet.copy-records',
      topics: ['source'],
      on: { assigned: () => new Promise(() => {}), fetched() {}, revoked() {}, failed() {} },
    })
    await other.close()
    await driver.advance(10)
  }
  const alone = worked.filter((texts) => texts.length === 1)
  stuck = false
  await driver.restart()

  assert.ok(worked.length >= 10, `the records were taken ${worked.length} times: the test says nothing`)
  assert.deepEqual(alone, [])
  assert.deepEqual(await driver.rejected(), [])
  assert.equal((await driver.values(sink)).length, 2)
})

test('what is done when another record ends the process is on record before that one is worked on', async () => {
  await using several = await severalPartitions({ msOfBatch: 0 })
  const { driver } = several
  await driver.stop()
  await several.pipe('good', 'bomb')
  // Progress is slower than the bomb.
  driver.broker.faults.beforeOffsetCommit = async (_group, commits) => {
    if (commits.some(({ partition, offset }) => partition === 0 && offset > 0)) await driver.clock.wait(50)
  }
  await driver.start()

  await several.crashUntilRejected(1)
  await driver.advance(1_000)

  assert.deepEqual(
    (await driver.rejected()).map(({ key }) => key),
    ['acme/bomb'],
  )
})

test('a comparison that ends the process is not counted against the record that comes next', async () => {
  let deadly = true
  const { stage, worked } = copying(() => false, false)
  const compared = {
    ...stage,
    start: async () => ({ offset: 0, at: 0, hold: { state: 'source-recreated' as const, reason: 'another topic' } }),
    away: { compare: () => (deadly ? new Promise<Low>(() => {}) : Promise.resolve(noLow)) },
  }
  await using driver = await testDriver(compared, {})

  for (let i = 0; i < 8; i++) await driver.crash()
  await driver.pipe(...records('a'))
  deadly = false
  await driver.crash()

  assert.deepEqual(await driver.rejected(), [])
  assert.ok(worked.length > 0)
  assert.deepEqual([...new Set(worked.flat())], ['a'])
  assert.equal((await driver.values(sink)).at(-1)?.text, 'a')
})

test('a batch that ends the process is not taken for a record of another partition that goes alone', async () => {
  await using several = await severalPartitions({ msOfBatch: 50 })
  const { driver } = several
  await several.pipe('first bomb')
  await several.crashUntilRejected(1)
  await driver.stop()

  // From here on the records of partition 0 go alone, and those of partition 1 do not.
  await several.pipe('sound', 'second bomb')
  await driver.start()
  await several.crashUntilRejected(2)
  await driver.advance(20_000)

  assert.deepEqual(
    (await driver.rejected()).map(({ key }) => key),
    ['acme/first bomb', 'acme/second bomb'],
  )
})
