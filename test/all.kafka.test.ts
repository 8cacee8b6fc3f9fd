import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { connect } from '../client/client.ts'
import { openPlatform } from './platform.ts'
import { until } from './until.ts'

test('every role in one process: it starts, serves a key, and ends when it is told to, with what is under way answered', async () => {
  await using platform = await openPlatform({ partitions: 1 })
  const all = await platform.all()
  const command = platform.freshet('keys', 'create', 'of a test', '--scopes', 'search,publish', '--json')
  await command.ended
  const { apiKey } = JSON.parse(command.log()) as { apiKey: string }
  const url = all.url.replace(/^ws/, 'http').replace('/v1/ws', '')
  const headers = { 'x-api-key': apiKey }
  // A key that is not known yet is a guess to the gateway, which takes few of them.
  await until('the key is known', async () => (await fetch(`${url}/v1/ws`, { headers })).status === 426, 10_000, 400)
  const client = await connect(all.url, { apiKey })
  const { token } = await client.publish([{ id: 'plan', text: 'The plan of whoever runs it all.' }], { ack: 'indexed' })
  const found = await client.search({ query: 'the plan', freshness: { after: token } })
  await client.close()
  // A position that nobody has written yet: it is waited for until the time is over.
  const ahead = Buffer.from(JSON.stringify({ epoch: 1, documents: { 0: Number(positionIn(token)) + 1_000 } })).toString(
    'base64url',
  )
  const waiting = fetch(`${url}/v1/wait`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ after: ahead, timeoutMs: 2_000 }),
  })
  const socket = new WebSocket(all.url, ['freshet.v1+json'], { headers })
  await once(socket, 'message')
  const closed = once(socket, 'close')

  await all.kill('SIGTERM')
  const [code] = await closed
  const answer = await waiting

  assert.equal(found.hits[0]?.documentId, 'plan')
  assert.equal(code, 1012)
  assert.equal(answer.status, 504, await answer.text())
  assert.equal(await all.ended, 'ended with exit code 0')
})

const positionIn = (token: string): number => {
  const { documents } = JSON.parse(Buffer.from(token, 'base64url').toString()) as {
    documents: Record<string, number | number[]>
  }
  return [Object.values(documents)[0]!].flat()[0]!
}
