import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, test } from 'node:test'
import WebSocket from 'ws'
import { cleanDocument } from '../processors/clean-text.ts'
import { documents } from '../schemas/topics.ts'
import { tokenOf } from '../search/freshness.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { atRest } from './at-rest.ts'
import { openPlatform } from './platform.ts'
import { until } from './until.ts'

const platform = await openPlatform()
after(() => platform[Symbol.asyncDispose]())
const [, query] = await Promise.all([platform.worker(), platform.query()])
const client = await platform.client()
await client.publish([{ id: 'kite', text: 'The kite circles over the field.' }], { ack: 'indexed' })

const search = { type: 'search', id: '1', query: 'kite' }

/** One connection that takes whatever is sent to it; the answers that have an id or a type of their own. */
async function connected(): Promise<{ socket: WebSocket; ask(message: string): Promise<Record<string, unknown>> }> {
  const socket = new WebSocket(query.url, 'freshet.v1+json')
  const received: Record<string, unknown>[] = []
  socket.on('message', (data) => received.push(JSON.parse(String(data))))
  while (received.length === 0) await once(socket, 'message')
  received.length = 0
  return {
    socket,
    async ask(message) {
      socket.send(message)
      while (received.length === 0) await once(socket, 'message')
      return received.shift()!
    },
  }
}

const refused: readonly (readonly [string, object, RegExp])[] = [
  ['k of 0', { ...search, k: 0 }, /^k: is 0;/],
  ['k of 101', { ...search, k: 101 }, /^k: is 101;.*100/],
  ['k that is not whole', { ...search, k: 1.5 }, /^k: is 1\.5;/],
  ['k that is text', { ...search, k: '10' }, /^k: is "10";/],
  ['an unknown field', { ...search, limit: 5 }, /"limit" is not a field/],
  ['an unknown field inside', { ...search, freshness: { maxStalenessMs: 1, soon: true } }, /freshness/],
  ['an unknown type', { type: 'drop', id: '1' }, /type/],
  ['a type that is not served', { type: 'ask', id: '1', question: 'kite' }, /ask is not served here/],
  ['no query', { type: 'search', id: '1' }, /query/],
  ['an empty query', { ...search, query: '' }, /query/],
  ['a vector of another space', { ...search, query: { vector: [1], space: 'es_0' } }, /es_0/],
  ['a document of another tenant', { ...search, query: { like: 'other/kite' } }, /no document/],
  ['no documents', { type: 'publish', id: '1', documents: [] }, /documents/],
  ['a document without text', { type: 'publish', id: '1', documents: [{ id: 'a' }] }, /documents/],
  ['a document with blank text', { type: 'publish', id: '1', documents: [{ id: 'a', text: ' \n ' }] }, /text/],
  ['a key that is too long', { type: 'publish', id: '1', documents: [{ id: 'x'.repeat(600), text: 'long' }] }, /512/],
  ['a control character in a key', { type: 'publish', id: '1', documents: [{ id: 'a\u0001', text: 'a' }] }, /control/],
  ['a list instead of an object', [search], /message/],
]

test('each message that is wrong is answered with what is wrong, and the connection goes on', async (t) => {
  const { ask, socket } = await connected()

  for (const [what, message, reason] of refused) {
    const answer = await ask(JSON.stringify(message))
    assert.equal(answer.type, 'error', what)
    assert.match(String(answer.message), reason, what)
    assert.equal(answer.retryable, false, what)
    assert.notEqual(answer.code, 'internal', what)
  }

  const answer = await ask(JSON.stringify(search))
  assert.equal(answer.type, 'result')
  assert.equal((answer.hits as { documentId: string }[])[0]?.documentId, 'kite')
  t.diagnostic(`${refused.length} messages refused`)
  socket.close()
})

test('of several documents, one that is wrong keeps all of them out', async () => {
  const before = await platform.broker.admin.offsets(platform.topic(documents))

  const publishing = client.publish([
    { id: 'fine', text: 'This one is fine.' },
    { id: 'blank', text: ' ' },
  ])

  await assert.rejects(publishing, { code: 'rejected', message: /documents\.1 \("blank"\).*text/ })
  assert.deepEqual(await platform.broker.admin.offsets(platform.topic(documents)), before)
})

const closing: readonly (readonly [string, string | Buffer, number])[] = [
  ['a binary frame', Buffer.from(JSON.stringify(search)), 4400],
  ['what is not JSON', '{"type":"search"', 4400],
  ['a message above 1 MiB', JSON.stringify({ ...search, query: 'x'.repeat(1024 * 1024) }), 1009],
]

test('a frame that is no message closes its connection with the reason, and no other', async () => {
  for (const [what, frame, code] of closing) {
    const { socket } = await connected()
    const closed = once(socket, 'close')
    socket.on('error', () => {})
    socket.send(frame)
    const [found] = await closed

    assert.equal(found, code, what)
  }

  assert.equal((await client.search({ query: 'kite' })).hits[0]?.documentId, 'kite')
})

test('a service that is asked to end says so, answers what is under way, and then closes', async () => {
  const leaving = await platform.query()
  const socket = new WebSocket(leaving.url, 'freshet.v1+json')
  const received: Record<string, unknown>[] = []
  socket.on('message', (data) => received.push(JSON.parse(String(data))))
  const closed = once(socket, 'close')
  await once(socket, 'message')
  const after = tokenOf({ epoch: 1, documents: { 0: 1_000_000 } })

  socket.send(JSON.stringify({ type: 'wait', id: '1', after, timeoutMs: 3_000 }))
  socket.send(JSON.stringify({ type: 'ping' }))
  await until('it has taken the operation', () => received.some(({ type }) => type === 'pong'))
  await leaving.kill('SIGTERM')
  const [code] = await closed

  const [notice, answer] = received.slice(-2)
  assert.equal(notice?.code, 'going_away')
  assert.deepEqual([answer?.id, answer?.code], ['1', 'timeout'])
  assert.equal(code, 1012)
})

const upgrades: readonly (readonly [string, string, string[], object, number])[] = [
  ['another subprotocol', '/', ['freshet.v2+json'], {}, 400],
  ['no subprotocol', '/', [], {}, 400],
  ['a page of another origin', '/', ['freshet.v1+json'], { origin: 'https://evil.example' }, 403],
  ['an origin that looks like ours', '/', ['freshet.v1+json'], { origin: 'http://localhost.evil.example' }, 403],
  ['another path', '/admin', ['freshet.v1+json'], {}, 404],
]

test('a connection that may not be made is refused before it exists', async () => {
  for (const [what, path, protocols, options, status] of upgrades) {
    const socket = new WebSocket(`${query.url}${path}`, protocols, options)
    const found = await new Promise((resolve) => {
      socket.on('unexpected-response', (_, response) => resolve(response.statusCode))
      socket.on('open', () => resolve('open'))
    })
    socket.on('error', () => {})
    socket.terminate()

    assert.equal(found, status, what)
  }

  const local = new WebSocket(query.url, 'freshet.v1+json', { origin: 'http://localhost:3000' })
  await once(local, 'open')
  local.close()
})

test('a search never returns a document of another tenant, whatever it asks for', async () => {
  const producer = await platform.broker.producer()
  const texts = { 'other/kite': 'The kite circles over the field.', 'acmex/kite': 'The kite circles over the field.' }
  const records = Object.entries(texts).map(([key, text]) => ({
    topic: platform.topic(documents),
    partition: partitionOf(key, platform.partitions),
    key,
    value: platform.serde.encode(
      documents,
      cleanDocument({
        text,
        contentType: null,
        title: null,
        url: null,
        language: null,
        attributes: { tenant: 'acme' },
      }),
    ),
  }))
  await producer.send(records)
  await producer.close()
  await atRest(platform)

  const requests = [
    { query: 'kite', k: 100 },
    { query: 'kite', k: 100, mode: 'keyword' as const },
    { query: 'kite', k: 100, mode: 'dense' as const },
    { query: 'kite', k: 100, groupBy: 'document' as const },
    { query: 'kite', k: 100, filter: { tenant: { in: ['acme', 'other'] } } },
    { query: { like: 'acme/kite' }, k: 100 },
  ]
  const answers = await Promise.all(requests.map((request) => client.search(request)))
  await platform.query({ FRESHET_TENANT: 'other' })
  const others = await (await platform.client()).search({ query: 'kite', k: 100 })

  assert.deepEqual(
    answers.map(({ hits }) =>
      hits.map(({ documentId, attributes }) => `${documentId} ${Object.keys(attributes).length}`),
    ),
    [['kite 0'], ['kite 0'], ['kite 0'], ['kite 0'], [], []],
  )
  assert.deepEqual(
    others.hits.map(({ attributes }) => attributes),
    [{ tenant: 'acme' }],
  )
  await assert.rejects(client.search({ query: { like: 'other/kite' } }), { code: 'not_found' })
})
