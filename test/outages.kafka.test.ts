import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { portsFrom } from '../infra/local/ports.ts'
import { localSettings } from '../infra/local/settings.ts'
import { documents, inbox, progress } from '../schemas/topics.ts'
import type { Topic } from '../streams/topic.ts'
import { atRest } from './at-rest.ts'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'
import { ownQdrant } from './qdrant-process.ts'
import { tcpProxy } from './tcp-proxy.ts'
import { deadLettersOf, valuesOf } from './topic-records.ts'
import { until } from './until.ts'

const qdrant = await ownQdrant()
const registry = await tcpProxy(portsFrom(localSettings(process.env).portBase).registry)
const platform = await openPlatform({
  partitions: 1,
  qdrantUrl: qdrant.url,
  registryUrl: `http://127.0.0.1:${registry.port}/apis/ccompat/v7`,
})
after(async () => {
  await platform[Symbol.asyncDispose]()
  await Promise.all([qdrant[Symbol.asyncDispose](), registry[Symbol.asyncDispose]()])
})
await qdrant.start()
const [worker] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const producer = await platform.broker.producer()

const raw = (text: string) => ({ text, contentType: null, title: null, url: null, language: null, attributes: {} })
const put = (topic: Topic, key: string, value: Buffer | null) =>
  producer.send([{ topic: platform.topic(topic), partition: 0, key, value }])
const nothing = { served: [], garbage: [] }

test('with the registry gone documents go on being indexed, and what needs it waits instead of being thrown away', async () => {
  await put(inbox, 'acme/warm', platform.serde.encode(inbox, raw('Warmed up.')))
  await atRest(platform)
  await registry.cut()

  await put(inbox, 'acme/cut', platform.serde.encode(inbox, raw('The registry is gone.')))
  const { token } = await client.publish([{ id: 'door', text: 'By our own door.' }])
  await atRest(platform)
  const found = await client.search({ query: 'the registry is gone', freshness: { after: token } })

  const unknown = Buffer.concat([Buffer.from([0, 0, 15, 66, 63]), Buffer.from('whatever')])
  const retries = await worker.metric('freshet_retries_total', { processor: 'embed-documents' })
  await put(documents, 'acme/unknown', unknown)
  await until('the worker asks for the schema again and again', async () => {
    const now = await worker.metric('freshet_retries_total', { processor: 'embed-documents' })
    return now > retries + 1
  })
  const lettersBefore = await deadLettersOf(platform)
  await registry.heal()
  await atRest(platform)

  assert.equal(found.hits[0]?.documentId, 'cut')
  assert.deepEqual(lettersBefore, [])
  const letters = await deadLettersOf(platform)
  assert.equal(letters.length, 1)
  assert.match(letters[0]!.reason, /schema id 999999 is not in the registry/)
  assert.deepEqual(letters[0]!.value, unknown)
  assert.deepEqual(await differences(platform), nothing)
})

test('with Qdrant gone nothing is thrown away or committed, a search says what it cannot do, and all is caught up after', async () => {
  const letters = (await deadLettersOf(platform)).length
  const retried = async () =>
    (await worker.metric('freshet_retries_total', { processor: 'index-vectors' })) +
    (await worker.metric('freshet_retries_total', { processor: 'embed-documents' }))
  const retries = await retried()
  await qdrant.stop('SIGKILL')

  const { token } = await client.publish(
    Array.from({ length: 60 }, (_, i) => ({ id: `down-${i}`, text: `Written while Qdrant was gone, number ${i}.` })),
  )
  await assert.rejects(client.search({ query: 'gone' }), { code: 'unavailable', retryable: true })
  await until('the worker tries again', async () => (await retried()) > retries + 1)
  await assert.rejects(client.wait(token, { timeoutMs: 200 }), { code: 'timeout' })
  await qdrant.start()
  const { documents: outcomes } = await client.wait(token, { timeoutMs: 60_000 })

  assert.deepEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ['indexed'])
  assert.equal((await deadLettersOf(platform)).length, letters)
  assert.deepEqual(await differences(platform), nothing)
  assert.deepEqual(await unaccounted(platform), [])
})

test('a Qdrant that is set back to an older copy is noticed and caught up, and nobody asks for it', async () => {
  const ids = Array.from({ length: 100 }, (_, i) => `restored-${i}`)
  await client.publish(
    ids.map((id) => ({ id, text: `${id} as it was at first.` })),
    { ack: 'indexed' },
  )
  await qdrant.stop('SIGTERM')
  qdrant.copy()
  await qdrant.start()
  await client.publish(
    ids.slice(0, 60).map((id) => ({ id, text: `${id} as it is now.` })),
    { ack: 'indexed' },
  )
  await client.publish(
    ids.slice(60, 80).map((id) => ({ id, delete: true })),
    { ack: 'indexed' },
  )
  await client.publish(
    ids.map((id) => ({ id: `new-${id}`, text: `${id} came later.` })),
    { ack: 'indexed' },
  )
  assert.deepEqual(await differences(platform), nothing)
  const marks = (await valuesOf(platform, progress)).length

  await qdrant.stop('SIGTERM')
  qdrant.restore()
  await qdrant.start()
  const setBack = await differences(platform)
  await until(
    'the index is as the log says again',
    async () => {
      const { served } = await differences(platform)
      return served.length === 0 || `${served.length} differences, the first: ${served[0]}`
    },
    60_000,
  )

  assert.ok(
    setBack.served.length > 100,
    `the copy has only ${setBack.served.length} differences: the test says nothing`,
  )
  assert.deepEqual(await differences(platform), nothing)
  const lows = (await valuesOf(platform, progress)).slice(marks - 1).map(({ low }) => low)
  assert.ok(
    lows.some((low) => low < lows[0]!),
    `the watermark never went back: ${lows.join(', ')}`,
  )
  await atRest(platform)
  const { asOf, hits } = await client.search({
    query: 'restored-7 as it is now',
    freshness: { maxStalenessMs: 0, timeoutMs: 20_000 },
  })
  assert.equal(asOf.complete, true)
  assert.equal(hits[0]?.text, 'restored-7 as it is now.')
  assert.deepEqual(await unaccounted(platform), [])
})

test('a Qdrant that comes back empty is filled again from the log', async () => {
  await qdrant.stop('SIGKILL')
  qdrant.empty()
  await qdrant.start()

  await until(
    'the index is as the log says again',
    async () => {
      const { served } = await differences(platform).catch((error) => ({ served: [String(error)] }))
      return served.length === 0 || `${served.length} differences, the first: ${served[0]}`
    },
    60_000,
  )

  assert.deepEqual(await differences(platform), nothing)
})
