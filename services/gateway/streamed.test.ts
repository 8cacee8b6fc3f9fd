import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { type TestContext, test } from 'node:test'
import { openDoor, openService, raw } from '../../test/door.ts'
import { until } from '../../test/until.ts'
import { noOwnLimits, type Principal } from '../principal.ts'

const ada: Principal = {
  tenant: 'acme',
  subject: 'key:ada',
  scopes: ['publish'],
  groups: ['*'],
  expiresAt: null,
  limits: noOwnLimits,
}

const door = (t: TestContext, origin: string) =>
  openDoor(t, { authentication: { identify: async () => ada }, upstreams: { query: [origin] } })

/** A bulk that is sent piece by piece; the bounds of these tests are 2,000 bytes for a body that is held, and 500 ms for its arrival. */
function open(port: number) {
  const sending = request({
    port,
    host: '127.0.0.1',
    path: '/v1/documents/bulk',
    method: 'POST',
    headers: { 'x-api-key': 'ada', 'content-type': 'application/x-ndjson' },
  })
  sending.on('error', () => {})
  const answered = once(sending, 'response').then(([response]) => response.statusCode as number)
  answered.catch(() => {})
  return { sending, answered }
}

test('a bulk is passed on as it comes, however long it is', async (t) => {
  let bytes = 0
  const { origin } = await openService(t, (asked, response) => {
    asked.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    asked.on('end', () => response.end('{}'))
  })
  const { port } = await door(t, origin)
  const { sending, answered } = open(port)

  sending.write('first\n')
  await until('the first line is there', () => bytes === 6)
  const piece = Buffer.alloc(1024 * 1024, 'x')
  for (let written = 0; written < 40; written++) if (!sending.write(piece)) await once(sending, 'drain')
  sending.end()

  assert.equal(await answered, 200)
  assert.equal(bytes, 6 + 40 * piece.length)
})

test('a service that does not read holds the client back, for as long as it takes, and the gateway holds little', async (t) => {
  const began = Promise.withResolvers<() => void>()
  const { origin } = await openService(t, (asked, response) => {
    asked.pause()
    began.resolve(() => asked.resume().on('end', () => response.end('{}')))
  })
  const { port } = await door(t, origin)
  const { sending, answered } = open(port)
  let taken = 0
  const piece = Buffer.alloc(1024 * 1024, 'x')
  const all = (async () => {
    for (; taken < 60; taken++) if (!sending.write(piece)) await once(sending, 'drain')
    sending.end()
  })()

  const goOn = await began.promise
  let before = -1
  // Longer than a body may take that does not come.
  const stands = () => {
    const isSame = before === taken
    before = taken
    return isSame
  }
  await until('it is held back', stands, 10_000, 700)
  const takenThen = taken
  goOn()
  await all

  assert.ok(takenThen < 30, `${takenThen} MiB lie somewhere`)
  assert.equal(await answered, 200)
})

test('a service that answers before it has read everything is heard, and the connection is not cut before', async (t) => {
  const { origin } = await openService(t, (asked, response) => {
    asked.once('data', () =>
      response.writeHead(429, { 'content-type': 'application/problem+json' }).end('{"through":1}'),
    )
  })
  const { port } = await door(t, origin)
  const { sending, answered } = open(port)

  sending.write('first\n')
  const status = await answered
  sending.end('more\n')

  assert.equal(status, 429)
})

test('a bulk that stands still is ended, and so is what the service was given', async (t) => {
  const gone = Promise.withResolvers<void>()
  const { origin } = await openService(t, (asked) => {
    asked.on('error', () => gone.resolve())
    asked.resume()
  })
  const { port } = await door(t, origin)

  const answer = await raw(
    port,
    'POST /v1/documents/bulk HTTP/1.1\r\nhost: door\r\nx-api-key: ada\r\ncontent-type: application/x-ndjson\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n',
  )

  assert.match(answer, /^HTTP\/1\.1 408 /)
  await gone.promise
})

test('when the client goes away in the middle, the service hears of it as of no end', async (t) => {
  const seen: string[] = []
  const { origin } = await openService(t, (asked) => {
    asked.on('data', () => seen.push('data'))
    asked.on('end', () => seen.push('end'))
    asked.on('error', () => seen.push('error'))
  })
  const { port } = await door(t, origin)
  const { sending } = open(port)
  sending.write('first\n')
  await until('it has begun', () => seen.length === 1)

  sending.destroy()

  await until('it is over', () => seen.length === 2)
  assert.deepEqual(seen, ['data', 'error'])
})

test('the address of a document may have slashes, encoded or not, and no step that leads elsewhere', async (t) => {
  const { origin, seen } = await openService(t, (asked, response) => asked.resume() && void response.end('{}'))
  const { port } = await door(t, origin)
  const paths = [
    'a/b',
    'a%2Fb',
    '%C3%A4%20%3F',
    `${'long'.repeat(128)}`,
    '../wait',
    '..%2Fwait',
    'a/./b',
    'a%2f%2fb',
    'a%5Cb',
    '%2e%2e/wait',
    '',
  ]

  const answers = await Promise.all(
    paths.map((path) =>
      raw(port, `DELETE /v1/documents/${path} HTTP/1.1\r\nhost: door\r\nx-api-key: ada\r\nconnection: close\r\n\r\n`),
    ),
  )

  assert.deepEqual(
    answers.map((answer) => Number(answer.slice(9, 12))),
    [200, 200, 200, 200, 400, 400, 400, 400, 400, 400, 400],
  )
  assert.deepEqual(
    seen.map(({ url }) => url).sort(),
    paths
      .slice(0, 4)
      .map((path) => `/v1/documents/${path}`)
      .sort(),
  )
})
