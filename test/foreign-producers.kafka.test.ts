import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { deadLetters, documents, inbox } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { producePython } from './python.ts'
import { deadLettersOf, recordsOf } from './topic-records.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()

const toInbox = { schema: 'inbox-document.avsc' }
const toDocuments = { schema: 'document.avsc', partitioner: 'murmur2_random' } as const

const raw = (text: string) => ({ text, contentType: null, title: null, url: null, language: null, attributes: {} })
const clean = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, cleaning: '' })
const sentences = (count: number) =>
  Array.from({ length: count }, (_, i) => `Sentence ${i} about the reed warbler says nothing else.`).join(' ')

const pointsOfKey = async (key: string) => (await pointsOf(platform)).filter(({ payload }) => payload.key === key)
const textsFor = async (query: string) =>
  (await client.search({ query, k: 100 })).hits.map(({ documentId, text }) => `${documentId}: ${text}`)

test('documents of a Python producer with its own partitioner and Avro serializer are found', async () => {
  const records = Array.from({ length: 30 }, (_, i) => ({
    key: `acme/py-${i}`,
    value: {
      ...raw(`Bittern number ${i} booms.`),
      attributes: { number: i, loud: true, tags: ['bird', 'reed'], by: 'python' },
    },
  }))

  await producePython(platform, inbox, records, toInbox)
  await atRest(platform)

  const { hits } = await client.search({
    query: 'bittern number 7',
    k: 100,
    filter: { number: 7, loud: true, tags: 'reed' },
  })
  assert.deepEqual(
    hits.map(({ documentId, text, attributes }) => [documentId, text, attributes]),
    [['py-7', 'Bittern number 7 booms.', records[7]!.value.attributes]],
  )
  assert.equal((await textsFor('bittern booms')).length, 30)
  const misplaced = (await recordsOf(platform, inbox)).filter(
    ({ key, partition }) => partitionOf(key!, platform.partitions) !== partition,
  )
  assert.ok(misplaced.length > 0, 'librdkafka put every key where murmur2 does: the test says nothing')
  assert.deepEqual(await deadLettersOf(platform), [])
})

test('documents of a Python producer that is set to murmur2 may go straight to documents', async () => {
  const records = Array.from({ length: 30 }, (_, i) => ({
    key: `acme/direct-${i}`,
    value: clean(`Curlew number ${i} calls.`),
  }))

  await producePython(platform, documents, records, toDocuments)
  await atRest(platform)

  assert.equal((await textsFor('curlew calls')).filter((text) => text.startsWith('direct-')).length, 30)
  assert.deepEqual(await deadLettersOf(platform), [])
})

test('a tombstone of a Python producer removes the document, by either door', async () => {
  await producePython(platform, inbox, [{ key: 'acme/py-1', value: null }])
  await producePython(platform, documents, [{ key: 'acme/direct-1', value: null }], toDocuments)
  await atRest(platform)

  const kinds = await Promise.all(['acme/py-1', 'acme/direct-1'].map(pointsOfKey))

  assert.deepEqual(
    kinds.map((points) => points.map((point) => [kindOf(point), point.payload.deleted])),
    [[['manifest', true]], [['manifest', true]]],
  )
  const texts = [...(await textsFor('bittern number 1')), ...(await textsFor('curlew number 1'))]
  assert.ok(texts.length > 0 && texts.every((text) => !/^(py|direct)-1:/.test(text)))
})

test('an update that shrinks a document leaves no orphan point', async () => {
  const key = 'acme/shrinks'
  await producePython(platform, inbox, [{ key, value: raw(sentences(200)) }], toInbox)
  await atRest(platform)
  const before = (await pointsOfKey(key)).map(kindOf)

  await producePython(platform, inbox, [{ key, value: raw(sentences(30)) }], toInbox)
  await atRest(platform)

  const after = await pointsOfKey(key)
  const wanted = (await platform.engine.split(sentences(30))).length
  assert.ok(before.length > wanted + 1, `${before.length} points before`)
  assert.deepEqual(after.map(kindOf).sort(), [...Array.from({ length: wanted }, () => 'chunk'), 'manifest'])
})

test('a Python producer with the default partitioner that writes to documents is told so, in dead letters', async () => {
  const records = Array.from({ length: 30 }, (_, i) => ({
    key: `acme/crc-${i}`,
    value: clean(`Ruff number ${i} dances.`),
  }))

  const places = await producePython(platform, documents, records, { schema: 'document.avsc' })
  await atRest(platform)

  const wrong = records.filter(({ key }, i) => {
    const place = places[i]!
    return 'partition' in place && place.partition !== partitionOf(key, platform.partitions)
  })
  const letters = await deadLettersOf(platform)
  assert.ok(wrong.length > 0 && wrong.length < 30)
  assert.deepEqual(letters.map(({ key }) => String(key)).sort(), wrong.map(({ key }) => key).sort())
  for (const { class: kind, reason, stage } of letters) {
    assert.deepEqual([kind, stage], ['partition', 'embed-documents'])
    assert.match(reason, /murmur2.*partitioner=murmur2_random/)
  }
  const found = (await textsFor('ruff dances')).filter((text) => text.startsWith('crc-'))
  assert.equal(found.length, 30 - wrong.length)
})

test('after all of that the index equals the latest documents, and every record has its outcome', async () => {
  await atRest(platform)

  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
  assert.ok((await recordsOf(platform, deadLetters)).length > 0)
})
