import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { headersOf, openPublishing } from '../../test/query-service.ts'
import { messageIn, publishIn, waitIn } from './http-message.ts'

const requestOf = (body: unknown, headers: Record<string, string> = {}, url = '/', method = 'POST'): IncomingMessage =>
  Object.assign(Readable.from([Buffer.from(JSON.stringify(body))]), {
    headers,
    url,
    method,
  }) as unknown as IncomingMessage

test('a read is told by headers how fresh it is to be, and for how long to wait', async () => {
  const headers = { 'x-freshet-after': 'a-token', prefer: 'respond-async, wait=2' }

  const search = await messageIn('search', requestOf({ query: 'x' }, headers))
  const wait = await messageIn('wait', requestOf({}, headers))
  const publish = await messageIn('publish', requestOf({ documents: [{ id: 'a', delete: true }] }, headers))

  assert.deepEqual(search.type === 'search' && search.freshness, {
    after: 'a-token',
    timeoutMs: 2_000,
    onTimeout: 'error',
  })
  assert.deepEqual(wait, { type: 'wait', id: 'http', after: 'a-token', timeoutMs: 2_000 })
  assert.equal('freshness' in publish, false)
})

test('what the headers and the body both say is refused', async () => {
  const after = { 'x-freshet-after': 'a-token' }

  const twice = [
    () => messageIn('search', requestOf({ query: 'x', freshness: 'any' }, after)),
    () => messageIn('wait', requestOf({ after: 'a-token' }, after)),
    () => messageIn('wait', requestOf({ timeoutMs: 1 }, { ...after, prefer: 'wait=2' })),
  ]

  for (const each of twice) await assert.rejects(each, { code: 'bad_request', message: /leave one of the two out/ })
})

test('what is preferred and cannot be had is had as near as it can', () => {
  const preferred = ['wait=2', 'respond-async; wait="3"', 'wait=1000', 'wait=soon', 'await=4', undefined]

  const seconds = preferred.map((prefer) => waitIn(prefer === undefined ? {} : { prefer }))

  assert.deepEqual(seconds, [2, 3, 60, null, null, null])
})

test('one document is put and deleted at its own address, however its id is written there', async () => {
  const ids = {
    hello: 'hello',
    'a/b': 'a/b',
    'a%2Fb': 'a/b',
    '%C3%A4%20%3F%25': 'ä ?%',
    bulk: 'bulk',
    'a%252Fb': 'a%2Fb',
  }

  const messages = await Promise.all(
    Object.keys(ids).map((written) =>
      publishIn(requestOf({ text: 'A text.' }, {}, `/v1/documents/${written}?ack=indexed&timeoutMs=5`, 'PUT')),
    ),
  )

  assert.deepEqual(
    messages,
    Object.values(ids).map((id) => ({
      type: 'publish',
      id: 'http',
      documents: [{ id, text: 'A text.' }],
      ack: 'indexed',
      timeoutMs: 5,
    })),
  )
})

test('put and delete over HTTP write, answer with a token, and name what is wrong with the one document', async () => {
  await using world = await openPublishing()
  const ask = async (method: string, id: string, body?: object) => {
    const answer = await fetch(`${world.url}/v1/documents/${id}`, {
      method,
      headers: headersOf('acme'),
      ...(body && { body: JSON.stringify(body) }),
    })
    const { token, code, detail } = (await answer.json()) as Record<string, string>
    return {
      status: answer.status,
      token: answer.headers.get('x-freshet-token') === token ? token : undefined,
      code,
      detail,
    }
  }

  const put = await ask('PUT', 'a/b', { text: 'A text.' })
  const deleted = await ask('DELETE', 'a%2Fb')
  const faults = [
    await ask('PUT', 'c', { text: ' ' }),
    await ask('PUT', 'c', { id: 'c', text: 'A text.' }),
    await ask('PUT', 'c', { title: 'No text' }),
    await ask('PUT', '%FF', { text: 'A text.' }),
    await ask('DELETE', ''),
    await ask('PUT', 'c?ack=soon', { text: 'A text.' }),
    await ask('PATCH', 'c', {}),
  ]

  assert.deepEqual([put.status, deleted.status], [200, 200])
  assert.ok(put.token && deleted.token && put.token !== deleted.token)
  assert.deepEqual(world.published(), ['acme/a/b', '-acme/a/b'])
  assert.deepEqual(
    faults.map(({ status, code }) => [status, code]),
    [
      [422, 'rejected'],
      [400, 'bad_request'],
      [400, 'bad_request'],
      [400, 'bad_request'],
      [422, 'rejected'],
      [400, 'bad_request'],
      [405, 'method_not_allowed'],
    ],
  )
  assert.match(faults[0]!.detail!, /^text: /)
  assert.match(faults[2]!.detail!, /^text: is missing/)
})
