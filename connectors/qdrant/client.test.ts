import assert from 'node:assert/strict'
import { once } from 'node:events'
import http2 from 'node:http2'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import './client.ts'

test('a session that ends with an error while nobody listens ends no process', async (t) => {
  const server = http2.createServer((_request, response) => response.end('{}')).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const session = http2.connect(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  const stream = session.request({ ':path': '/' })
  stream.resume()
  await once(stream, 'close')
  // Not "once" of node:events, which listens to errors too.
  const closed = new Promise<void>((resolve) => session.once('close', () => resolve()))

  session.destroy(new Error('received GOAWAY without any open streams'))
  await closed

  assert.equal(session.destroyed, true)
})
