import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { fakeService } from '../engine/remote/service.fixture.ts'
import { openPlatform } from './platform.ts'
import { deadLettersOf } from './topic-records.ts'
import { until } from './until.ts'

const service = await fakeService()
const platform = await openPlatform({
  partitions: 2,
  env: {
    FRESHET_EMBEDDING_BACKEND: 'openai',
    FRESHET_EMBEDDING_URL: service.url,
    FRESHET_EMBEDDING_DIMENSIONS: '64',
    FRESHET_EMBEDDING_TEXTS_MAX: '8',
    FRESHET_EMBEDDING_PRICE_PER_MILLION_TOKENS: '1000000',
    FRESHET_MODEL: 'hashed-elsewhere',
  },
})
after(async () => {
  await platform[Symbol.asyncDispose]()
  await service[Symbol.asyncDispose]()
})
const [worker, query] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
const documents = (count: number, name: string) =>
  Array.from({ length: count }, (_, i) => ({
    id: `${name}-${i}`,
    text: `The ${name} document says that it is number ${i}.`,
  }))
const bothSay = async (...words: readonly string[]): Promise<boolean> => {
  const said = [await states(worker.adminUrl), await states(query.adminUrl)]
  return said.every((each) => words.every((word) => each.includes(word)))
}
const states = async (url: string): Promise<string> => (await fetch(`${url}/health/ready`)).text()

test('a worker embeds through a service that dies and comes back: every document is indexed, and there is no dead letter', async () => {
  await client.publish(documents(20, 'early'), { ack: 'indexed' })
  await service.stop()

  const { token } = await client.publish(documents(60, 'late'))
  const search = await client.search({ query: 'late document' }).catch((error: { code: string }) => error.code)
  await until('both roles say so', () => bothSay('embedding-unavailable'))
  const keywords = await client.search({ query: 'early document', mode: 'keyword' })
  const letters = await deadLettersOf(platform)
  await service.start()
  const { documents: outcomes } = await client.wait(token, { timeoutMs: 60_000 })
  const found = await client.search({ query: 'late document', k: 50, freshness: { after: token } })

  assert.equal(search, 'unavailable')
  assert.ok(keywords.hits.length > 0)
  assert.deepEqual(letters, [])
  assert.deepEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ['indexed'])
  assert.deepEqual(await deadLettersOf(platform), [])
  assert.equal(found.hits.length, 50)
  assert.ok((await worker.metric('freshet_embedding_tokens_total')) > 0)
  assert.equal(
    await worker.metric('freshet_embedding_cost_total'),
    await worker.metric('freshet_embedding_tokens_total'),
  )
  await until('the states are over', async () => !(await states(query.adminUrl)).includes('embedding-unavailable'))
})

test('a service that has another model after a restart embeds nothing, and both roles say what to do', async () => {
  await service.stop()
  service.otherModel = true
  await assert.rejects(client.search({ query: 'changed document' }), { code: 'unavailable' })
  const { token } = await client.publish(documents(5, 'changed'))
  await until('the service is missed', async () => (await states(worker.adminUrl)).includes('embedding-unavailable'))
  await service.start()

  await until(
    'both roles say so',
    async () => {
      await client.search({ query: 'anything' }).catch(() => {})
      return bothSay('embedding-model-changed', 'FRESHET_EMBEDDING_REVISION')
    },
    60_000,
    500,
  )
  await assert.rejects(client.wait(token, { timeoutMs: 500 }), { code: 'timeout' })
  service.otherModel = false
  const { documents: outcomes } = await client.wait(token, { timeoutMs: 60_000 })

  assert.deepEqual([...new Set(outcomes.map(({ outcome }) => outcome))], ['indexed'])
  assert.deepEqual(await deadLettersOf(platform), [])
})
