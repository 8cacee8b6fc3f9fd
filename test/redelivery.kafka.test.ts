import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import type { Client } from '../client/client.ts'
import { documents, vectors } from '../schemas/topics.ts'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { receiptsOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

const platform = await openPlatform({ env: { FRESHET_VECTOR_CACHE_BYTES_MAX: '0' } })
after(() => platform[Symbol.asyncDispose]())
let [worker] = await Promise.all([platform.worker(), platform.query()])

test('the whole log delivered again embeds no text again and changes nothing that is served', async () => {
  const client = await platform.client()
  await write(client)
  const chunks = (await pointsOf(platform)).filter((point) => kindOf(point) === 'chunk').length
  const embedded = await worker.metric('freshet_chunks_total', { from: 'model' })
  const [points, answers] = [await servedPoints(), await search(client)]
  await worker.kill('SIGTERM')
  await rewind()

  worker = await platform.worker()
  await atRest(platform)
  await allHandled()

  const again = await worker.metric('freshet_chunks_total', { from: 'model' })
  assert.ok(chunks > 100 && embedded >= chunks, `${chunks} chunks, ${embedded} embedded`)
  assert.ok(again <= 0.05 * embedded, `${again} of ${embedded} chunks were embedded again`)
  assert.deepEqual(await servedPoints(), points)
  assert.deepEqual(await search(client), answers)
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
})

test('records of older revisions that come late, as a worker may send them that stood still, change nothing', async () => {
  const client = await platform.client()
  await client.publish(
    [
      { id: 'late', text: 'The old text.' },
      { id: 'late-gone', text: 'It was there once.' },
    ],
    { ack: 'indexed' },
  )
  await client.publish(
    [
      { id: 'late', text: 'The new text.' },
      { id: 'late-gone', delete: true },
    ],
    { ack: 'indexed' },
  )
  const keys = ['acme/late', 'acme/late-gone']
  const records = (await recordsOf(platform, vectors)).filter(({ key }) => keys.includes(String(key)))
  const [points, before] = [await servedPoints(), await superseded()]

  const producer = await platform.broker.producer()
  await producer.send(records.reverse().map((record) => ({ ...record, key: String(record.key) })))
  await producer.close()
  await allHandled()

  assert.equal(records.length, 4)
  assert.deepEqual(await servedPoints(), points)
  assert.equal((await superseded()) - before, 2)
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
})

test('text that is published again unchanged, or in part, is not embedded again', async () => {
  const client = await platform.client()
  const text = sentences('egret', 120)
  await client.publish([{ id: 'egret', text }], { ack: 'indexed' })
  const chunks = (await platform.engine.split(text)).length
  const before = await worker.metric('freshet_chunks_total', { from: 'model' })

  await client.publish([{ id: 'egret', text }], { ack: 'indexed' })
  await client.publish([{ id: 'egret', text: `${text} One sentence more at the end.` }], { ack: 'indexed' })

  const embedded = (await worker.metric('freshet_chunks_total', { from: 'model' })) - before
  assert.ok(chunks > 5)
  assert.ok(embedded >= 1 && embedded <= 2, `${embedded} of ${chunks} chunks were embedded again`)
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
})

const sentences = (word: string, count: number) =>
  Array.from({ length: count }, (_, i) => `The ${word} number ${i} is described in this sentence.`).join(' ')

/** Documents of many lengths, some of them changed, deleted and made again. */
async function write(client: Client): Promise<void> {
  const ids = Array.from({ length: 80 }, (_, i) => `doc-${i}`)
  const batches = [
    ids.map((id, i) => ({ id, text: sentences(id, 1 + (i % 40) * 2), attributes: { i } })),
    ids.slice(0, 30).map((id) => ({ id, text: sentences(`${id} changed`, 12) })),
    ids.slice(20, 40).map((id) => ({ id, delete: true as const })),
    ids.slice(60, 70).map((id, i) => ({ id, text: sentences(id, 1 + ((60 + i) % 40) * 2), attributes: { i: 60 + i } })),
    ids.slice(30, 35).map((id) => ({ id, text: sentences(`${id} again`, 3) })),
  ]
  for (const batch of batches) await client.publish(batch, { ack: 'indexed' })
}

/** All but the markers, whose time is that of their writing. */
async function servedPoints(): Promise<object[]> {
  return (await pointsOf(platform)).filter((point) => kindOf(point) !== 'marker')
}

async function search(client: Client): Promise<object[]> {
  const queries = ['doc-3 number 2', 'doc-12 changed', 'doc-31 again', 'described in this sentence']
  const answers = await Promise.all(queries.map((query) => client.search({ query, k: 20 })))
  return answers.map(({ hits }) => hits.slice())
}

/** Both groups read from the first offset again. */
async function rewind(): Promise<void> {
  const { scope, broker, partitions } = platform
  for (const [group, topic] of [
    [`freshet.embed-documents.${scope.space}`, documents],
    [`freshet.index-vectors.${scope.space}`, vectors],
  ] as const) {
    const name = platform.topic(topic)
    const positions = Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition, offset: 0 }))
    await broker.admin.resetCommitted(`${scope.prefix}${group}`, positions)
  }
}

/** The work itself, not only the watermark, which the index remembers. */
async function allHandled(): Promise<void> {
  const ends = await platform.broker.admin.offsets(platform.topic(vectors))
  await until('index-vectors has read everything', async () => {
    const lows = await Promise.all(
      ends.map(({ partition }) =>
        worker.metric('freshet_low_offset', { processor: 'index-vectors', partition: String(partition) }),
      ),
    )
    return ends.every(({ end }, i) => lows[i]! >= end - 1) || lows.join(', ')
  })
}

async function superseded(): Promise<number> {
  return (await receiptsOf(platform)).filter(({ outcome }) => outcome === 'superseded').length
}
