import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { differences, unaccounted } from './oracle/platform-world.ts'
import { openPlatform } from './platform.ts'

const platform = await openPlatform({ engine: 'model' })
after(() => platform[Symbol.asyncDispose]())
const [worker] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()

const texts = {
  otter: 'The otter closes its nostrils when it dives for fish in the cold river.',
  loan: 'Early repayment of the mortgage costs a fee of one percent of the remaining debt.',
  bread: 'Let the dough rise overnight in the fridge, then bake it in a very hot oven.',
  kafka: 'A consumer group divides the partitions of a topic among its members.',
}

test('with the real model a document is found by what it means, in other words', async () => {
  await client.publish(
    Object.entries(texts).map(([id, text]) => ({ id, text })),
    { ack: 'indexed' },
  )

  const found = async (query: string) => (await client.search({ query, k: 1, mode: 'dense' })).hits[0]?.documentId

  assert.equal(await found('an animal swimming under water'), 'otter')
  assert.equal(await found('paying back a house credit ahead of time'), 'loan')
  assert.equal(await found('recipe for baking a loaf'), 'bread')
  assert.equal(await found('how is work shared between the readers of a stream'), 'kafka')
})

test('what the worker embedded equals, byte for byte, what another process makes of the same documents', async () => {
  const pages = Array.from({ length: 6 }, (_, page) => ({
    id: `page-${page}`,
    text: Array.from({ length: 40 }, (_, i) => `On page ${page}, line ${i}, someone explains a thing.`).join(' '),
  }))
  await client.publish(pages, { ack: 'indexed', timeoutMs: 60_000 })

  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.deepEqual(await unaccounted(platform), [])
  assert.ok((await worker.metric('freshet_chunks_total', { from: 'model' })) > 12)
})
