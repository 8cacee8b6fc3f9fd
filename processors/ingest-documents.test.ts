import assert from 'node:assert/strict'
import { test } from 'node:test'
import { documents, ingestPositions } from '../schemas/topics.ts'
import { testDriver } from '../streams/test-driver.ts'
import { ingestDocuments } from './ingest-documents.ts'

const raw = (text: string, more: object = {}) => ({
  text,
  contentType: null,
  title: null,
  url: null,
  language: null,
  attributes: {},
  ...more,
})

test('a document with no text goes to the dead letters and the next one goes through', async () => {
  await using driver = await testDriver(ingestDocuments, {})

  await driver.pipe({ key: 'acme/a', value: raw(' ') }, { key: 'acme/b', value: raw('hello') })

  const [letter, ...more] = await driver.rejected()
  assert.equal(letter?.key, 'acme/a')
  assert.match(letter.reason, /^text: .*no letters or digits/)
  assert.deepEqual(more, [])
  assert.deepEqual(
    (await driver.values(documents)).map((value) => value?.text),
    ['hello'],
  )
})

test('a document whose declared attribute has another type is one dead letter with both types, and the next one goes through', async () => {
  const attributes = new Map([['year', 'integer'] as const])
  await using driver = await testDriver(ingestDocuments, { attributes })

  await driver.pipe(
    { key: 'acme/a', value: raw('fine', { attributes: { year: 2023 } }) },
    { key: 'acme/a', value: raw('wrong', { attributes: { year: '2024' } }) },
    { key: 'acme/b', value: raw('undeclared', { attributes: { colour: 'blue' } }) },
  )

  assert.deepEqual(await driver.rejected(), [
    {
      key: 'acme/a',
      reason:
        'attributes.year: is text ("2024") and year is declared as integer; send a whole number of at most 9007199254740991',
    },
  ])
  assert.deepEqual(
    (await driver.values(documents)).map((value) => [value?.text, value?.attributes]),
    [
      ['fine', { year: 2023 }],
      ['undeclared', { colour: 'blue' }],
    ],
  )
})

test('a document from any partition of a source lies where its key belongs', async () => {
  await using driver = await testDriver(ingestDocuments, {}, { partitions: 3 })

  for (const partition of [0, 1, 2]) await driver.pipe({ key: 'acme/a', value: raw(`from ${partition}`), partition })

  const written = await driver.records(documents)
  assert.equal(new Set(written.map(({ partition }) => partition)).size, 1)
  assert.equal(written.length, 3)
})

test('a tombstone in a source deletes the document', async () => {
  await using driver = await testDriver(ingestDocuments, {})

  await driver.pipe({ key: 'acme/a', value: raw('hello') }, { key: 'acme/a', value: null })

  assert.deepEqual(
    (await driver.values(documents)).map((value) => value?.text ?? null),
    ['hello', null],
  )
})

test('a key that no document can have is a dead letter and writes nothing', async () => {
  await using driver = await testDriver(ingestDocuments, {})

  await driver.pipe(
    { key: 'no-slash', value: raw('hello') },
    { key: null, value: raw('hello') },
    { key: 'acme/b', value: raw('hello') },
  )

  assert.deepEqual(
    (await driver.rejected()).map(({ reason }) => reason.split(':')[0]),
    ['key', 'key'],
  )
  assert.deepEqual(
    (await driver.records(documents)).map(({ key }) => key),
    ['acme/b'],
  )
})

test('bytes that are not Avro, and a schema that nobody registered, are dead letters with a reason', async () => {
  await using driver = await testDriver(ingestDocuments, {})

  await driver.pipe(
    { key: 'acme/a', bytes: Buffer.from('{"text":"json"}') },
    { key: 'acme/b', bytes: Buffer.from([0, 0, 0, 39, 15, 2, 4]) },
    { key: 'acme/c', value: raw('hello') },
  )

  const reasons = (await driver.rejected()).map(({ reason }) => reason)
  assert.match(reasons[0]!, /is not Avro in the schema registry's wire format/)
  assert.match(reasons[1]!, /schema id 9999 is not in the registry/)
  assert.deepEqual(
    (await driver.records(documents)).map(({ key }) => key),
    ['acme/c'],
  )
})

test('text that is not UTF-8 is a dead letter', async () => {
  await using driver = await testDriver(ingestDocuments, {})
  await driver.pipe({ key: 'acme/good', value: raw('good text') })
  const sound = await driver.encoded(raw('broken text here'))
  const broken = Buffer.from(sound)
  broken[sound.indexOf('broken')] = 0xff

  await driver.pipe({ key: 'acme/bad', bytes: broken })

  assert.match((await driver.rejected())[0]!.reason, /not UTF-8/)
})

test('the position is written with what it led to', async () => {
  await using driver = await testDriver(ingestDocuments, {})

  await driver.pipe({ key: 'acme/a', value: raw('one') }, { key: 'acme/b', value: raw('two') })

  const positions = await driver.values(ingestPositions)
  assert.equal(positions.at(-1)?.next, 2)
})
