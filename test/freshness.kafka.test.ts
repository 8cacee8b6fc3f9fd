import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { documents } from '../schemas/topics.ts'
import { positionsOf, tokenOf } from '../search/freshness.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { openPlatform } from './platform.ts'
import { until } from './until.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
const [worker] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()

test('a search that asks for at least a write finds it, whatever was written', async () => {
  const { token } = await client.publish([{ id: 'heron', text: 'The heron stands in shallow water.' }])
  const found = await client.search({ query: 'heron', freshness: { after: token, timeoutMs: 20_000 } })
  const gone = await client.publish([{ id: 'heron', delete: true }])

  const notFound = await client.search({
    query: 'heron',
    freshness: { after: gone.token, timeoutMs: 20_000, onTimeout: 'stale' },
  })

  assert.deepEqual(
    found.hits.map(({ documentId, text }) => [documentId, text]),
    [['heron', 'The heron stands in shallow water.']],
  )
  assert.deepEqual([notFound.hits, notFound.stale], [[], undefined])
})

test('what is acknowledged as indexed is found at once', async () => {
  for (const round of [1, 2, 3, 4, 5]) {
    const text = `Round ${round} of the otter.`
    const { token } = await client.publish([{ id: 'otter', text }], { ack: 'indexed' })

    const { hits } = await client.search({ query: 'otter', freshness: { after: token, timeoutMs: 0 } })

    assert.deepEqual(
      hits.map((hit) => hit.text),
      [text],
    )
  }
})

test('a writer is told what became of each document, and why one was rejected', async () => {
  const tooLong = 'a '.repeat(300_000)
  const same = { id: 'same', text: 'The same text twice.' }
  await client.publish([same], { ack: 'indexed' })

  const { token, documents: outcomes } = await client.publish(
    [same, { id: 'new', text: 'A new text.' }, { id: 'long', text: tooLong }, { id: 'otter', delete: true }],
    { ack: 'indexed', timeoutMs: 30_000 },
  )
  const again = await client.wait(token, { timeoutMs: 5_000 })

  assert.deepEqual(outcomes.map(({ outcome }) => outcome).sort(), ['deleted', 'indexed', 'rejected', 'unchanged'])
  assert.match(outcomes.find(({ outcome }) => outcome === 'rejected')?.reason ?? '', /chunks, and 1000 is the limit/)
  assert.deepEqual(again.documents, outcomes)
})

test('a token of another epoch has expired', async () => {
  const { token } = await client.publish([{ id: 'epoch', text: 'One epoch.' }], { ack: 'indexed' })
  const { epoch, documents: positions } = positionsOf(token)!

  const other = tokenOf({ epoch: epoch + 1, documents: positions })

  await assert.rejects(client.wait(other), { code: 'position_expired' })
  await assert.rejects(client.search({ query: 'epoch', freshness: { after: other } }), { code: 'position_expired' })
  await assert.rejects(client.wait('no token'), { code: 'bad_request' })
})

test('a wait for what is not written yet ends with a timeout that may be tried again', async () => {
  const key = `${platform.tenant}/later`
  const partition = partitionOf(key, platform.partitions)
  const ends = await platform.broker.admin.offsets(platform.topic(documents))
  const token = tokenOf({ epoch: 1, documents: { [partition]: [ends[partition]!.end] } })
  await assert.rejects(client.wait(token, { timeoutMs: 100 }), { code: 'timeout', retryable: true })

  const waiting = client.wait(token, { timeoutMs: 20_000 })
  await client.publish([{ id: 'later', text: 'Written later.' }])

  assert.deepEqual(
    (await waiting).documents.map(({ outcome }) => outcome),
    ['indexed'],
  )
})

test('at rest the index says that it is complete and not stale', async () => {
  await client.publish([{ id: 'rest', text: 'At rest.' }], { ack: 'indexed' })
  const asOf = async () => (await client.search({ query: 'rest' })).asOf

  await until('the index is fresh', async () => {
    const { staleMs, complete, ingestStaleMs } = await asOf()
    return (complete && staleMs === 0 && ingestStaleMs === 0) || JSON.stringify({ staleMs, complete, ingestStaleMs })
  })
  const first = await asOf()
  const strict = await client.search({ query: 'rest', freshness: { maxStalenessMs: 0 } })

  assert.equal(first.staleMs, 0)
  assert.equal(strict.hits[0]?.documentId, 'rest')
})

test('a query service that has just started knows how fresh the index is', async () => {
  await client.publish([{ id: 'before', text: 'Before the start.' }], { ack: 'indexed' })

  await platform.query()
  const late = await platform.client()

  const { asOf, hits } = await late.search({
    query: 'before the start',
    freshness: { maxStalenessMs: 0, timeoutMs: 20_000 },
  })
  assert.equal(asOf.complete, true)
  assert.equal(hits[0]?.documentId, 'before')
})

test('while the worker stands still the index says how stale it is, and then catches up', async () => {
  const staleness = async () => (await client.search({ query: 'still' })).asOf.staleMs
  await client.search({ query: 'still', freshness: { maxStalenessMs: 0, timeoutMs: 20_000 } })
  await worker.kill('SIGSTOP')
  const { token } = await client.publish([{ id: 'still', text: 'Standing still.' }])

  await until('the index is a second stale', async () =>
    (await staleness()) > 1_000 ? true : `${await staleness()} ms`,
  )
  const grown = await staleness()
  await assert.rejects(client.search({ query: 'still', freshness: { maxStalenessMs: 500 } }), { code: 'too_stale' })
  const stale = await client.search({
    query: 'still',
    freshness: { after: token, timeoutMs: 50, onTimeout: 'stale' },
  })
  await worker.kill('SIGCONT')
  await client.wait(token, { timeoutMs: 30_000 })

  assert.ok(grown > 1_000 && grown < 30_000, `${grown} ms`)
  assert.ok(stale.hits.every(({ documentId }) => documentId !== 'still'))
  assert.equal(stale.stale, true)
  await until('the index is fresh again', async () => (await staleness()) === 0)
})
