import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { clientCredentials } from './oauth-token.ts'

async function tokenServer(t: { after(work: () => void): void }, answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
}

test('a token is asked for once for all that want it, and anew when four fifths of its time are over', async (t) => {
  const asked: { authorization: string | undefined; body: string }[] = []
  const url = await tokenServer(t, async (request, response) => {
    asked.push({ authorization: request.headers.authorization, body: await text(request) })
    response.end(JSON.stringify({ access_token: `token-${asked.length}`, token_type: 'bearer', expires_in: 100 }))
  })
  let now = 0
  const token = clientCredentials({ url, id: 'freshet', secret: () => 's:1', scope: 'kafka' }, () => now)

  const first = await Promise.all([token(), token()])
  now = 79_999
  const same = await token()
  now = 80_000
  const second = await token()

  assert.deepEqual([...first, same, second], ['token-1', 'token-1', 'token-1', 'token-2'])
  assert.equal(asked[0]!.authorization, `Basic ${Buffer.from('freshet:s%3A1').toString('base64')}`)
  assert.equal(asked[0]!.body, 'grant_type=client_credentials&scope=kafka')
})

test('who does not get a token is told who refused it and why, without the secret', async (t) => {
  const url = await tokenServer(t, (_request, response) => {
    response.writeHead(401).end(JSON.stringify({ error: 'invalid_client' }))
  })
  const token = clientCredentials({ url, id: 'freshet', secret: () => 'canary-5d' })

  const refused = token()

  await assert.rejects(refused, (error: Error) => {
    assert.match(
      error.message,
      /kafkaOauthTokenUrl .*\/token gave no token to kafkaOauthClientId freshet: 401 invalid_client/,
    )
    return !error.message.includes('canary')
  })
})
