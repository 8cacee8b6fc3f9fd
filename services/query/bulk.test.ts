import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { test } from 'node:test'
import { Retry } from '../../streams/errors.ts'
import { headersOf, openPublishing } from '../../test/query-service.ts'
import { until } from '../../test/until.ts'
import type { BulkReport } from './bulk.ts'
import { FAULTS_TOLD_MAX } from './bulk.ts'
import { BULKS_OF_TENANT_MAX } from './bulk-request.ts'

type World = Awaited<ReturnType<typeof openPublishing>>

const ndjson = { 'content-type': 'application/x-ndjson' }
const lineOf = (id: string, text = 'A text.') => `${JSON.stringify({ id, text })}\n`

async function bulk({ url }: World, body: string, { query = '', headers = {} } = {}) {
  const answer = await fetch(`${url}/v1/documents/bulk${query}`, {
    method: 'POST',
    headers: { ...ndjson, ...headersOf('acme'), ...headers },
    body,
  })
  return {
    status: answer.status,
    headers: answer.headers,
    told: (await answer.json()) as BulkReport & { code: string; detail: string },
  }
}

/** A bulk that is sent piece by piece. */
function open({ port }: World, headers: Readonly<Record<string, string>> = {}) {
  const sending = request({
    port,
    host: '127.0.0.1',
    path: '/v1/documents/bulk',
    method: 'POST',
    headers: { ...ndjson, ...headersOf('acme'), ...headers },
  })
  const answered = new Promise<{ status: number; told: BulkReport & { code: string } }>((resolve, reject) => {
    sending.once('error', reject)
    sending.once('response', async (response) => {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      resolve({ status: response.statusCode!, told: JSON.parse(Buffer.concat(chunks).toString('utf8')) })
    })
  })
  answered.catch(() => {})
  return { sending, answered }
}

test('a line whose attribute has another type is left out, and the answer says once what nothing can be filtered by', async () => {
  await using world = await openPublishing()
  const line = (id: string, attributes: object) => `${JSON.stringify({ id, text: 'A text.', attributes })}\n`

  const { told } = await bulk(
    world,
    line('a', { year: 2024, colour: 'blue' }) +
      line('b', { year: '2024', shape: 'round' }) +
      line('c', { colour: 'red' }),
  )

  assert.deepEqual([told.written, told.faulty], [2, 1])
  assert.match(told.faults[0]!.reason, /^attributes\.year: is text \("2024"\) and year is declared as integer/)
  assert.deepEqual(told.notices, ['attributes.colour: stored, not declared: nothing can be filtered by it'])
})

test('thousands of lines are written in their order, with one token for all of them', async () => {
  await using world = await openPublishing({ acme: { documentsPerSecond: 1e6 } })
  const ids = Array.from({ length: 5_000 }, (_, i) => `d${i}`)

  const { status, told, headers } = await bulk(
    world,
    `${ids.map((id) => lineOf(id)).join('')}{"id":"d0","delete":true}`,
  )

  assert.equal(status, 200)
  assert.deepEqual([told.through, told.written, told.deleted, told.faulty], [5_001, 5_000, 1, 0])
  assert.deepEqual(world.published(), [...ids.map((id) => `acme/${id}`), '-acme/d0'])
  assert.deepEqual(JSON.parse(Buffer.from(told.token, 'base64url').toString()), { epoch: 1, documents: { 0: 5_000 } })
  assert.equal(headers.get('x-freshet-token'), told.token)
  assert.deepEqual(world.ended, ['bulk ok'])
})

test('each line that is not good is named with the reason, and the others are written', async () => {
  await using world = await openPublishing()
  const lines = [
    '{"id":"a","text":"A text."}',
    '{"id":"a","text":',
    '',
    '{"id":"b"}',
    '{"id":"c","text":"A text.","colour":"red"}',
    '{"id":"e","text":" "}',
    '{"id":"\\u0007","text":"A text."}',
    `{"id":"f","text":"A text.","attributes":${'['.repeat(40)}${']'.repeat(40)}}`,
    '[]',
    '{"id":"z","text":"A text."}\r',
  ]

  const { status, told } = await bulk(world, lines.join('\n'))

  assert.equal(status, 200)
  assert.deepEqual(world.published(), ['acme/a', 'acme/z'])
  assert.deepEqual([told.through, told.written, told.faulty], [10, 2, 7])
  assert.deepEqual(
    told.faults.map(({ line, id }) => [line, id]),
    [
      [2, undefined],
      [4, 'b'],
      [5, 'c'],
      [6, 'e'],
      [7, '\u0007'],
      [8, undefined],
      [9, undefined],
    ],
  )
  const reasons = told.faults.map(({ reason }) => reason).join('\n')
  for (const said of [
    /is not JSON/,
    /text: is missing/,
    /"colour" is not a field/,
    /the document has no text|text: /,
    /control characters/,
    /nested more than/,
  ])
    assert.match(reasons, said)
})

test('of very many faults the first are told, and all are counted', async () => {
  await using world = await openPublishing()

  const { told } = await bulk(world, `${'{}\n'.repeat(500)}${lineOf('a')}`)

  assert.deepEqual([told.faulty, told.faults.length, told.written], [500, FAULTS_TOLD_MAX, 1])
  assert.equal(told.faults.at(-1)?.line, FAULTS_TOLD_MAX)
})

test('a line is held no further than it may be long, and the next one is read', async () => {
  await using world = await openPublishing()
  const { sending, answered } = open(world)
  const before = process.memoryUsage().rss
  sending.write('{"id":"large","text":"')
  const piece = Buffer.alloc(1024 * 1024, 'x')
  for (let written = 0; written < 100; written++) if (!sending.write(piece)) await once(sending, 'drain')
  sending.end(`"}\n${lineOf('a')}`)

  const { told } = await answered

  assert.deepEqual([told.written, told.faulty], [1, 1])
  assert.match(told.faults[0]!.reason, /^the line is larger than 17825792 bytes/)
  assert.ok(process.memoryUsage().rss - before < 80 * 1024 * 1024, 'it was held')
})

test('what came is written before the rest is there', async () => {
  await using world = await openPublishing()
  const { sending, answered } = open(world)

  sending.write(`${lineOf('a')}{"id":"b",`)
  await until('they are written', () => world.published().length === 1)
  sending.end('"text":"A text."}')

  assert.equal((await answered).told.written, 2)
  assert.deepEqual(world.published(), ['acme/a', 'acme/b'])
})

test('over its quota it waits, and reads no further meanwhile', async () => {
  const waits: number[] = []
  let now = 1e12
  const clock = {
    now: () => now,
    async wait(ms: number) {
      waits.push(ms)
      now += ms
    },
  }
  await using world = await openPublishing({}, {}, { clock, quotas: quotaOf(() => now) })

  const { status, told } = await bulk(world, Array.from({ length: 1_000 }, (_, i) => lineOf(`d${i}`)).join(''))

  assert.deepEqual([status, told.written], [200, 1_000])
  assert.equal(world.published().length, 1_000)
  assert.ok(waits.reduce((sum, ms) => sum + ms, 0) >= 7_000, `it waited ${waits.join(', ')}`)
})

test('one that others keep over its quota says so, and what of it was written', async () => {
  const { quotas, first } = onlyOnce()
  let now = 1e12
  const clock = {
    now: () => now,
    async wait(ms: number) {
      now += ms
    },
  }
  await using world = await openPublishing({}, {}, { clock, quotas })

  const { status, told, headers } = await bulk(world, Array.from({ length: 250 }, (_, i) => lineOf(`d${i}`)).join(''))

  assert.deepEqual([status, told.code], [429, 'rate_limited'])
  assert.deepEqual([told.through, told.written], [first(), first()])
  assert.equal(headers.get('retry-after'), '5')
})

test('a client that goes away in the middle has written the lines that were whole by then, and no other', async () => {
  await using world = await openPublishing()
  const { sending } = open(world)
  sending.write(lineOf('a'))
  await until('they are written', () => world.published().length === 1)

  // Whole as JSON, and yet no line: nobody knows whether there was more to come.
  sending.write('{"id":"b","text":"A text."}')
  await new Promise<void>((resolve) => sending.once('drain', resolve).write('', () => resolve()))
  sending.destroy()

  await until('it is over', () => world.ended.length === 1)
  assert.deepEqual(world.ended, ['bulk cancelled'])
  assert.deepEqual(world.published(), ['acme/a'])
})

test('when Kafka does not answer it says how far it came, so that the rest can be sent again', async () => {
  let sends = 0
  await using world = await openPublishing({ acme: { documentsPerSecond: 1e6 } })
  const { producer } = world.ports
  const failing = {
    ...producer,
    async send(records: Parameters<typeof producer.send>[0]) {
      if (++sends > 2) throw new Retry('away')
      return producer.send(records)
    },
  }
  await using other = await openPublishing({ acme: { documentsPerSecond: 1e6 } }, {}, { producer: failing })

  const { status, told } = await bulk(other, Array.from({ length: 250 }, (_, i) => lineOf(`d${i}`)).join(''))

  assert.deepEqual([status, told.code], [503, 'unavailable'])
  assert.deepEqual([told.through, told.written], [200, 200])
  assert.equal(world.published().length, 200)
})

test('a service that stops ends it between two batches, with what was written', async () => {
  let missing: string | null = null
  await using world = await openPublishing({}, {}, { missing: () => missing })
  const { sending, answered } = open(world)
  sending.write(lineOf('a'))
  await until('they are written', () => world.published().length === 1)

  missing = 'stopping'
  sending.end(lineOf('b'))

  const { status, told } = await answered
  assert.deepEqual([status, told.code, told.through, told.written], [503, 'unavailable', 1, 1])
})

test('with ack=indexed it is answered when the index has all of it', async () => {
  const waited: unknown[] = []
  await using world = await openPublishing()
  const { freshness } = world.ports
  const after = async (token: string, timeoutMs: number) => {
    waited.push([JSON.parse(Buffer.from(token, 'base64url').toString()).documents, timeoutMs])
    return []
  }
  await using other = await openPublishing({}, {}, { freshness: { ...freshness, after } as never })

  const { status } = await bulk(other, lineOf('a') + lineOf('b'), { query: '?ack=indexed&timeoutMs=7000' })

  assert.equal(status, 200)
  assert.deepEqual(waited, [[{ 0: 1 }, 7_000]])
})

test('what is no bulk is refused before anything is written', async () => {
  await using world = await openPublishing()

  const refused = [
    await bulk(world, lineOf('a'), { headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    await bulk(world, ''),
    await bulk(world, lineOf('a'), { query: '?ack=soon' }),
    await bulk(world, lineOf('a'), { headers: headersOf('acme', ['search']) }),
  ]

  assert.deepEqual(
    refused.map(({ status, told }) => [status, told.code]),
    [
      [400, 'bad_request'],
      [400, 'bad_request'],
      [400, 'bad_request'],
      [403, 'forbidden'],
    ],
  )
  assert.match(refused[0]!.told.detail, /x-ndjson/)
  assert.deepEqual(world.published(), [])
})

test('a tenant has only so many bulks under way, and others have theirs', async () => {
  await using world = await openPublishing()
  const opened = Array.from({ length: BULKS_OF_TENANT_MAX }, () => open(world))
  for (const [i, { sending }] of opened.entries()) sending.write(lineOf(`d${i}`))
  await until('they are written', () => world.published().length === BULKS_OF_TENANT_MAX)

  const more = await bulk(world, lineOf('more'))
  const other = await bulk(world, lineOf('other'), { headers: headersOf('zenith') })
  for (const { sending } of opened) sending.end()
  await Promise.all(opened.map(({ answered }) => answered))
  const later = await bulk(world, lineOf('later'))

  assert.deepEqual([more.status, other.status, later.status], [429, 200, 200])
})

/** 100 documents a second, as a clock of the test's own passes. */
function quotaOf(now: () => number): World['ports']['quotas'] {
  let free = now()
  return {
    searching: () => null,
    publishing(_by, { documents }) {
      if (free > now()) return overFor(free - now())
      free = Math.max(free, now()) + documents * 10
      return null
    },
  }
}

function onlyOnce() {
  let first: number | null = null
  const quotas: World['ports']['quotas'] = {
    searching: () => null,
    publishing(_by, { documents }) {
      if (first !== null) return overFor(5_000)
      first = documents
      return null
    },
  }
  return { quotas, first: () => first }
}

const overFor = (retryAfterMs: number) => ({
  payer: {
    name: 'tenant acme',
    quota: { documentsPerSecond: 100, bytesPerSecond: 1, embeddedTokensPerMinute: 1 },
    share: 1,
  },
  measure: 'documents' as const,
  limit: { perSecond: 100, burst: 200 },
  taken: { admitted: false, remaining: 0, retryAfterMs, fullAfterMs: 2_000 },
})
