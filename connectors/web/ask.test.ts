import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type TestContext, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { isPrivate, publicLookup } from './addresses.ts'
import { openWeb, retryAfter, textOf, type WebOptions } from './ask.ts'

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server: Server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

function web(t: TestContext, options: WebOptions = {}) {
  const opened = openWeb({ allowPrivate: true, ...options })
  t.after(() => opened.close())
  return opened
}

test('who knows the last answer is told that nothing is new', async (t) => {
  const url = await serve(t, ({ headers }, response) => {
    if (headers['if-none-match'] === '"v1"') return response.writeHead(304).end()
    response.writeHead(200, { etag: '"v1"', 'content-type': 'text/plain' }).end('hello')
  })
  const { ask } = web(t)

  const first = await ask(url, null)
  assert.ok(first.is === 'new')
  const second = await ask(url, first.validators)

  assert.deepEqual([first.body.toString(), first.validators], ['hello', { etag: '"v1"', lastModified: null }])
  assert.deepEqual(second, { is: 'unchanged' })
})

test('an answer that is too large, packed or not, is refused and not held', async (t) => {
  const url = await serve(t, ({ url: path }, response) => {
    if (path === '/packed')
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(1_000_000)))
    else response.end(Buffer.alloc(1_000_000))
  })
  const { ask } = web(t, { bodyBytesMax: 100_000 })

  const answers = [await ask(`${url}/plain`, null), await ask(`${url}/packed`, null)]

  const reasons = answers.map((answer) => (answer.is === 'failed' ? answer.reason : answer.is))
  const refused = 'has more than 100000 bytes; ask for less of it'
  assert.deepEqual(reasons, [refused, refused])
})

test('redirects are followed so far, never into a private address', async (t) => {
  const url = await serve(t, ({ url: path }, response) => {
    if (path === '/end') response.end('here')
    else response.writeHead(302, { location: path === '/twice' ? '/once' : path === '/once' ? '/end' : '/round' }).end()
  })
  const { ask } = web(t)

  const found = await ask(`${url}/twice`, null)
  const round = await ask(`${url}/round`, null)
  const inside = await web(t, { allowPrivate: false }).ask(url, null)

  assert.ok(found.is === 'new' && found.url === `${url}/end`)
  assert.ok(round.is === 'failed' && /redirects more than 5 times/.test(round.reason))
  assert.ok(inside.is === 'failed' && /127\.0\.0\.1 is a private address; give --allow-private/.test(inside.reason))
})

test('a name that means a private address is refused when the connection is made', async (t) => {
  const url = await serve(t, (_, response) => response.end('secret'))

  const answer = await web(t, { allowPrivate: false }).ask(url.replace('127.0.0.1', 'localhost'), null)

  assert.ok(answer.is === 'failed' && /localhost is .*, a private address/.test(answer.reason), JSON.stringify(answer))
  await assert.rejects(
    new Promise((_, reject) => publicLookup('localhost', {}, (error) => reject(error))),
    /private address/,
  )
})

test('a server that asks for time is heard, and one that says nothing is left', async (t) => {
  const url = await serve(t, ({ url: path }, response) => {
    if (path === '/busy') response.writeHead(503, { 'retry-after': '120' }).end()
    else if (path === '/gone') response.writeHead(410).end()
    else if (path === '/drip') response.write('a')
  })
  const { ask } = web(t, { wholeMsMax: 300 })

  const [busy, gone, drip] = [
    await ask(`${url}/busy`, null),
    await ask(`${url}/gone`, null),
    await ask(`${url}/drip`, null),
  ]

  assert.deepEqual(busy, { is: 'failed', reason: 'answers 503; come back in 120 s', retryAfterMs: 120_000 })
  assert.deepEqual(gone, { is: 'gone' })
  assert.ok(drip.is === 'failed' && /cannot be reached/.test(drip.reason))
})

test('other schemes are not asked', async (t) => {
  const answer = await web(t).ask('file:///etc/passwd', null)

  assert.ok(answer.is === 'failed' && /has the scheme file:/.test(answer.reason))
})

test('every private range is one, however it is written', () => {
  const inside = ['10.1.2.3', '127.9.9.9', '169.254.169.254', '172.31.0.1', '192.168.1.1', '100.64.0.1', '0.0.0.0']
  const inside6 = [
    '::1',
    '::',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    'fe80::1',
    'fd00::1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
  ]

  assert.deepEqual(
    [...inside, ...inside6].filter((address) => !isPrivate(address)),
    [],
  )
  assert.deepEqual(['1.1.1.1', '172.32.0.1', '2606:4700::1111', '::ffff:1.1.1.1'].filter(isPrivate), [])
})

test('Retry-After is seconds or a date, and at most a day', () => {
  const now = Date.parse('2026-01-01T00:00:00Z')

  assert.equal(retryAfter('30', now), 30_000)
  assert.equal(retryAfter('Thu, 01 Jan 2026 00:01:00 GMT', now), 60_000)
  assert.equal(retryAfter('99999999', now), 86_400_000)
  assert.equal(retryAfter('soon', now), null)
})

test('a text is read in the character set that its header or its beginning names', () => {
  const latin = Buffer.from('<?xml version="1.0" encoding="ISO-8859-1"?><a>k\u00e4se</a>', 'latin1')

  assert.match(textOf(latin, 'text/xml'), /käse/)
  assert.equal(textOf(Buffer.from('k\u00e4se', 'latin1'), 'text/plain; charset=iso-8859-1'), 'käse')
  assert.equal(textOf(Buffer.from('käse'), 'text/plain; charset=none-such'), 'käse')
})
