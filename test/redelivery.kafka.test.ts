import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { vectors } from '../schemas/topics.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { receiptsOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

const platform = await openPlatform({ env: { FRESHET_VECTOR_CACHE_BYTES_MAX: '0' } })
after(() => platform[Symbol.asyncDispose]())
const [worker] = await Promise.all([platform.worker(), platform.query()])

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

/** All but the markers, whose time is that of their writing. */
async function servedPoints(): Promise<object[]> {
  return (await pointsOf(platform)).filter((point) => kindOf(point) !== 'marker')
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
