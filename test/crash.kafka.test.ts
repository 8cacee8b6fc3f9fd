import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { documents, indexed } from '../schemas/topics.ts'
import { atRest } from './at-rest.ts'
import { openPlatform } from './platform.ts'
import { deadLettersOf, valuesOf } from './topic-records.ts'
import { until } from './until.ts'

const platform = await openPlatform({ partitions: 1, workerFile: 'test/aborting-worker.ts' })
after(() => platform[Symbol.asyncDispose]())

const document = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, cleaning: 'c1' })

test('a document that aborts the process is found within a few starts, becomes a dead letter, and all others are indexed', async () => {
  // The first worker makes topics and schemas.
  const first = await platform.worker()
  const producer = await platform.broker.producer()
  const put = (id: string, text: string) => ({
    topic: platform.topic(documents),
    partition: 0,
    key: `acme/${id}`,
    value: platform.serde.encode(documents, document(text)),
  })
  const texts = Array.from({ length: 20 }, (_, i) => put(`good-${i}`, `Good text number ${i}.`))
  texts.splice(10, 0, put('bad', 'This will ABORT THE PROCESS when it is embedded.'))
  await producer.send(texts)
  await first.ended

  let deaths = 1
  for (;;) {
    // Whoever dies before it was seen to be ready is as dead as one that dies later.
    const worker = await platform.worker().catch(() => null)
    const ended = worker?.ended ?? Promise.resolve('')
    let gone = worker === null
    void ended.then(() => {
      gone = true
    })
    await until('the worker dies, or has put the document away', async () => gone || (await buried()), 60_000)
    if (!gone) break
    assert.ok(++deaths < 10, 'the worker dies again and again')
  }
  await atRest(platform)

  const [letter, ...more] = await deadLettersOf(platform)
  assert.deepEqual([letter!.key?.toString(), letter!.class, more.length], ['acme/bad', 'crash', 0])
  assert.match(letter!.reason, /^the process ended 3 times while it worked on this record alone/)
  assert.equal(deaths, 6, 'three to notice, three to be sure')
  const receipts = await valuesOf(platform, indexed)
  const offsets = (outcome: string) =>
    new Set(receipts.flatMap((each) => (each.outcome === outcome ? [each.offset] : []))).size
  assert.deepEqual([offsets('indexed'), offsets('rejected')], [20, 1])
})

const buried = async (): Promise<boolean> => (await deadLettersOf(platform)).length > 0
