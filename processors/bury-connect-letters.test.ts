import assert from 'node:assert/strict'
import { test } from 'node:test'
import { deadLetters } from '../schemas/topics.ts'
import { type DeadLetter, letterId } from '../streams/dead-letters.ts'
import { testDriver } from '../streams/test-driver.ts'
import { buryConnectLetters } from './bury-connect-letters.ts'

const trace = `org.apache.kafka.connect.errors.DataException: Failed to deserialize
\tat a.B.c(B.java:1)
Caused by: java.lang.IllegalStateException: Unknown magic byte!
\tat a.B.d(B.java:2)`

const said = (more: Record<string, string> = {}) => ({
  '__connect.errors.topic': 'indexed',
  '__connect.errors.partition': '2',
  '__connect.errors.offset': '41',
  '__connect.errors.connector.name': 'receipts',
  '__connect.errors.stage': 'VALUE_CONVERTER',
  '__connect.errors.exception.message': 'Failed to deserialize',
  '__connect.errors.exception.stacktrace': trace,
  ...more,
})

test('what a sink refuses is a dead letter of that connector, at its place, with the cause', async () => {
  await using driver = await testDriver(buryConnectLetters, {} as never)

  await driver.pipe({ key: 'acme/a', bytes: Buffer.from('not avro'), headers: said({ own: 'kept' }) })

  const [letter] = (await driver.records(deadLetters)).map(({ value }) => value as DeadLetter)
  const { stage, class: kind, reason, topic, partition, offset, key, value, headers } = letter!
  assert.deepEqual([stage, kind, topic, partition, offset], ['connect/receipts', 'schema', 'indexed', 2, 41])
  assert.equal(reason, 'Failed to deserialize: IllegalStateException: Unknown magic byte!')
  assert.deepEqual([String(key), String(value)], ['acme/a', 'not avro'])
  assert.deepEqual(Object.keys(headers), ['own'])
})

test('the same record twice is the same letter, and a deletion that is refused has no value', async () => {
  await using driver = await testDriver(buryConnectLetters, {} as never)
  const record = { key: 'acme/a', value: null, headers: said({ '__connect.errors.stage': 'TASK_PUT' }) }

  await driver.pipe(record, record)

  const letters = (await driver.records(deadLetters)).map(({ value }) => value as DeadLetter)
  assert.deepEqual(
    letters.map(({ value, class: kind }) => [value, kind]),
    [
      [null, 'content'],
      [null, 'content'],
    ],
  )
  assert.equal(new Set(letters.map(letterId)).size, 1)
})

test('what does not say where it lay is a dead letter that says what to set', async () => {
  await using driver = await testDriver(buryConnectLetters, {} as never, { deadLetters })

  await driver.pipe({ key: 'acme/a', bytes: Buffer.from('x') })

  assert.match((await driver.rejected())[0]!.reason, /^headers: .*context\.headers\.enable/)
})
