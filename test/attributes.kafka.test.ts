import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { PayloadSchemaType } from '@qdrant/js-client-grpc'
import { indexedPaths } from '../connectors/qdrant/attribute-indexes.ts'
import { inbox } from '../schemas/topics.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { atRest } from './at-rest.ts'
import { openPlatform } from './platform.ts'
import { deadLettersOf } from './topic-records.ts'
import { until } from './until.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
const declaring = (attributes: object) => ({ FRESHET_ATTRIBUTES: JSON.stringify(attributes) })
const first = declaring({ team: 'keyword' })
const [worker, query] = await Promise.all([platform.worker(first), platform.query(first)])
const client = await platform.client()
const refused = (message: RegExp) => ({ code: 'bad_request', message })

const indexed = async () => {
  const paths = await indexedPaths(platform.qdrant, platform.collection)
  return Object.fromEntries([...paths].map(([path, type]) => [path, PayloadSchemaType[type]]))
}

test('an attribute that is not declared is kept and shown, and both who publishes and who filters are told', async () => {
  const { notices } = await client.publish(
    [
      { id: 'heron', text: 'A heron stands at the weir.', attributes: { team: 'birds', year: 2023 } },
      { id: 'otter', text: 'An otter swims at the weir.', attributes: { team: 'mammals', year: 2024 } },
      { id: 'eel', text: 'An eel lies at the weir.', attributes: { team: 'fish', year: '2024' } },
    ],
    { ack: 'indexed' },
  )
  const { hits } = await client.search({ query: 'weir', filter: { team: 'birds' } })

  assert.deepEqual(notices, ['attributes.year: stored, not declared: nothing can be filtered by it'])
  assert.deepEqual(
    hits.map(({ documentId, attributes }) => [documentId, attributes]),
    [['heron', { team: 'birds', year: 2023 }]],
  )
  await assert.rejects(
    client.search({ query: 'weir', filter: { year: { gte: 2024 } } }),
    refused(/^filter\.year: is not declared, .* like \{"year":"number"\}; declared are team \(keyword\)$/),
  )
  await assert.rejects(
    async () => {
      for await (const _ of client.subscribe({ query: 'weir', filter: { year: 2024 } })) break
    },
    refused(/^filter\.year: is not declared/),
  )
})

test('a document from a topic whose attribute has another type is one dead letter, and its former version stays', async () => {
  const producer = await platform.broker.producer()
  const fields = { title: null, contentType: null, url: null, language: null, acl: null }
  const key = `${platform.tenant}/heron`
  const value = platform.serde.encode(inbox, { ...fields, text: 'The heron left.', attributes: { team: 7 } })

  await producer.send([{ topic: platform.topic(inbox), partition: partitionOf(key, platform.partitions), key, value }])
  await atRest(platform)

  const { hits } = await client.search({ query: 'heron', k: 1 })
  assert.deepEqual(
    (await deadLettersOf(platform)).map(({ reason }) => reason),
    ['attributes.team: is a number (7) and team is declared as keyword; send a text or a list of texts'],
  )
  assert.equal(hits[0]?.text, 'A heron stands at the weir.')
  await assert.rejects(client.publish([{ id: 'heron', text: 'The heron left.', attributes: { team: 7 } }]), {
    code: 'rejected',
    message: /attributes\.team: is a number \(7\) and team is declared as keyword/,
  })
})

test('an attribute that is declared later is indexed beside everything else, and documents of before are filtered by it', async () => {
  await until('the first one is indexed', async () => (await indexed())['attributes.team'] === 'Keyword')
  await Promise.all([worker, query].map((role) => role.kill('SIGTERM')))
  const second = declaring({ year: 'integer', 'seen.at': 'datetime' })

  const [nextWorker] = await Promise.all([platform.worker(second), platform.query(second)])
  const later = await platform.client()
  const found = async (filter: Readonly<Record<string, unknown>>) =>
    (await later.search({ query: 'weir', filter })).hits.map(({ documentId }) => documentId).sort()
  // Right from the first search on, whether the index is there or not.
  const atOnce = await found({ year: { gte: 2024 } })
  await until(
    'all that is declared is indexed',
    async () => (await nextWorker.metric('freshet_attribute_indexes', { state: 'built' })) === 2,
  )

  assert.deepEqual(await indexed(), { 'attributes.year': 'Float', 'attributes."seen.at"': 'Datetime' })
  assert.equal(await nextWorker.metric('freshet_attribute_indexes', { state: 'building' }), 0)
  assert.deepEqual(atOnce, ['otter'])
  assert.deepEqual(await found({ year: { gte: 2024 } }), ['otter'])
  assert.deepEqual(await found({ year: { in: [2023, 2024] } }), ['heron', 'otter'])
  // Of another type since before the declaration: there, and no value finds it.
  assert.deepEqual(await found({ year: { exists: true } }), ['eel', 'heron', 'otter'])
  assert.deepEqual(await found({ 'seen.at': { exists: false } }), ['eel', 'heron', 'otter'])
  await assert.rejects(
    later.search({ query: 'weir', filter: { team: 'birds' } }),
    refused(/declared are year \(integer\), seen\.at \(datetime\)$/),
  )
})
