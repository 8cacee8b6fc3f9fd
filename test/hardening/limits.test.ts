import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noOwnLimits, type Principal, wholeTenant } from '../../services/principal.ts'
import { LIMITS } from '../../services/query/protocol.ts'
import { until } from '../until.ts'
import { playedService } from './played-service.ts'
import { connected, talker } from './talker.ts'

/** Each limit of a connection is reached, with its typed error or its close code. */

const search = { type: 'search', id: 's', query: 'a' }
const wait = { type: 'wait', after: 'e30', timeoutMs: 60_000 }

test('one operation more than operationsMax is rate_limited, and is taken when another has ended', async () => {
  await using service = await playedService()
  service.hold()
  const { say, ask } = await connected(service.url)
  for (let i = 0; i < LIMITS.operationsMax; i++) say({ ...wait, id: `w${i}` })

  const over = await ask(search)
  const cancelled = await ask({ type: 'cancel', id: 'w0' })
  const again = await ask({ ...search, id: 's2' })

  assert.deepEqual([over.code, over.retryable, over.retryAfterMs], ['rate_limited', true, 100])
  assert.match(String(over.message), /64 operations under way/)
  assert.deepEqual([cancelled.code, again.type], ['cancelled', 'result'])
})

test('one standing query more than subscriptionsMax is rate_limited, and searches go on beside them', async () => {
  await using service = await playedService()
  const { told, say, ask } = await connected(service.url)
  const subscribe = { type: 'subscribe', query: 'a' }
  for (let i = 0; i < LIMITS.subscriptionsMax; i++) say({ ...subscribe, id: `q${i}` })

  const over = await ask({ ...subscribe, id: 'over' })
  const found = await ask(search)
  await until('each has its snapshot', () => told.filter(({ type }) => type === 'snapshot').length === 256)
  const cancelled = await ask({ type: 'cancel', id: 'q0' })
  const again = await ask({ ...subscribe, id: 'again' })

  assert.deepEqual([over.code, over.retryable], ['rate_limited', true])
  assert.match(String(over.message), /256 standing queries on this connection/)
  assert.deepEqual([found.type, cancelled.code, again.type], ['result', 'cancelled', 'snapshot'])
  assert.equal(service.standing.size, 1)
})

test('one standing query more than a process keeps is rate_limited on a socket and over HTTP, and one that is there is shared', async () => {
  await using service = await playedService({ standingMax: 2 })
  const { ask, socket } = await connected(service.url)
  const subscribe = (query: string) => ask({ type: 'subscribe', id: query, query })
  const events = (query: string) => fetch(`http://127.0.0.1:${service.port}/v1/subscribe?query=${query}`)

  const first = [await subscribe('one'), await subscribe('two')]
  const over = await subscribe('three')
  const [overEvents, shared] = [await events('three'), await events('one')]
  socket.close()
  await shared.body!.cancel()
  await until('all have gone', () => service.connections.size === 0)
  await until('who is not asked for is forgotten', () => {
    service.clock.advance(30_000)
    return service.standing.size === 0
  })

  assert.deepEqual(
    first.map(({ type }) => type),
    ['snapshot', 'snapshot'],
  )
  assert.deepEqual([over.code, over.retryable, over.retryAfterMs], ['rate_limited', true, 5_000])
  assert.deepEqual([overEvents.status, overEvents.headers.get('retry-after'), shared.status], [429, '5', 200])
})

test('an id that is in use is refused, and both its operation and the connection go on', async () => {
  await using service = await playedService()
  service.hold()
  const { say, ask, told } = await connected(service.url)
  say({ ...wait, id: 'x', timeoutMs: 5_000 })

  const refused = await ask({ ...search, id: 'x' })
  const other = await ask(search)
  service.clock.advance(5_000)
  await until('the first has ended', () => told.some(({ id, code }) => id === 'x' && code === 'timeout'))
  const free = await ask({ ...search, id: 'x' })

  assert.deepEqual([refused.code, refused.retryable], ['bad_request', false])
  assert.match(String(refused.message), /id: "x" is in use/)
  assert.deepEqual([other.type, free.type], ['result', 'result'])
})

const beyond: readonly (readonly [string, object, RegExp])[] = [
  ['k', { k: LIMITS.kMax + 1 }, /^k: is 101;/],
  ['the query', { query: 'x'.repeat(LIMITS.queryCharsMax + 1) }, /^query/],
  ['a filter', { filter: { $not: { $not: { $not: { $not: { a: 1 } } } } } }, /^filter/],
  [
    'the conditions of a filter',
    { filter: Object.fromEntries(Array.from({ length: 33 }, (_, i) => [`a${i}`, 1])) },
    /32/,
  ],
  ['the id', { id: 'x'.repeat(129) }, /^id/],
  ['how long it is waited', { freshness: { maxStalenessMs: 0, timeoutMs: LIMITS.timeoutMsMax + 1 } }, /^freshness/],
]

test('a message beyond a bound is a bad_request that names the field, and the one at the bound is taken', async () => {
  await using service = await playedService()
  const { ask, say, told } = await connected(service.url)
  const atBounds = {
    k: LIMITS.kMax,
    query: 'x'.repeat(LIMITS.queryCharsMax),
    filter: { $not: { $not: { $not: { a: 1 } } } },
    id: 'x'.repeat(128),
    freshness: { maxStalenessMs: 0, timeoutMs: LIMITS.timeoutMsMax },
  }

  for (const [what, fields, reason] of beyond) {
    const from = told.length
    say({ ...search, ...fields })
    await until(`an answer to ${what}`, () => told.length > from)
    const answer = told.at(-1)!
    assert.deepEqual([answer.type, answer.code], ['error', 'bad_request'], what)
    assert.match(String(answer.message), reason, what)
  }
  const taken = await ask({ ...search, ...atBounds })

  assert.equal(taken.type, 'result')
})

test('who sends more messages in a second than messagesPerSecondMax is closed with 1008, of whatever kind they are', async () => {
  await using service = await playedService()
  const bystander = await connected(service.url)
  const kinds = {
    messages: (each: Awaited<ReturnType<typeof connected>>) => each.say({ type: 'ping' }),
    pings: (each: Awaited<ReturnType<typeof connected>>) => each.socket.ping(),
    pongs: (each: Awaited<ReturnType<typeof connected>>) => each.socket.pong(),
  }

  for (const [kind, send] of Object.entries(kinds)) {
    const each = await connected(service.url)
    for (let second = 0; second < 2; second++) {
      for (let i = 0; i < LIMITS.messagesPerSecondMax - 1; i++) send(each)
      await each.ask({ ...search, id: `s${second}` })
      service.clock.advance(1_000)
    }
    for (let i = 0; i < LIMITS.messagesPerSecondMax + 1; i++) send(each)
    assert.equal(await each.closed, 1008, kind)
  }

  assert.equal((await bystander.ask(search)).type, 'result')
})

test('a message of messageBytesMax is read, and one byte more closes with 1009', async () => {
  await using service = await playedService()
  const { say, told, closed } = await connected(service.url)
  const message = (bytes: number) => {
    const empty = JSON.stringify({ ...search, query: '' })
    return empty.replace('""', JSON.stringify('x'.repeat(bytes - empty.length)))
  }

  say(message(LIMITS.messageBytesMax))
  await until('it is answered', () => told.some(({ code }) => code === 'bad_request'))
  say(message(LIMITS.messageBytesMax + 1))

  assert.equal(await closed, 1009)
})

const stranger = { of: () => null }
const member: Principal = { ...wholeTenant('acme', 'key:m'), limits: noOwnLimits, expiresAt: null }

test('who does not say who they are is closed with 4408 after 10 s, with 4401 if they ask first, and not at all if they say it', async () => {
  await using service = await playedService({
    ...stranger,
    identify: async (token) => (token === 'good' ? member : { refused: 'no such key' }),
  })
  const all = ['silent', 'asks', 'wrong', 'good'].map((name) => [name, talker(service.url)] as const)
  await until('all are connected', () => service.connections.size === all.length)
  const { silent, asks, wrong, good } = Object.fromEntries(all) as Record<string, ReturnType<typeof talker>>

  asks!.say(search)
  wrong!.say({ type: 'init', token: 'bad' })
  good!.say({ type: 'init', token: 'good' })
  await until('it is known', () => good!.told.some(({ type }) => type === 'ready'))
  service.clock.advance(9_999)
  const early = silent!.socket.readyState
  service.clock.advance(1)

  assert.deepEqual([await asks!.closed, await wrong!.closed, await silent!.closed], [4401, 4401, 4408])
  assert.equal(early, silent!.socket.OPEN)
  assert.equal((await good!.ask(search)).type, 'result')
})

test('who answers no ping is cut off at the third that is due after two, and who answers stays', async () => {
  await using service = await playedService()
  const dead = await connected(service.url, { autoPong: false })
  const alive = await connected(service.url)
  let pings = 0
  dead.socket.on('ping', () => pings++)
  let answered = 0
  alive.socket.on('ping', () => answered++)

  for (let beat = 1; beat <= 2; beat++) {
    service.clock.advance(25_000)
    await until('both are asked', () => pings === beat && answered === beat)
    // Its answer has come by then.
    await alive.ask({ ...search, id: `s${beat}` })
  }
  const before = service.connections.size
  service.clock.advance(25_000)

  assert.equal(before, 2)
  assert.equal(await dead.closed, 1006)
  assert.equal((await alive.ask(search)).type, 'result')
})

test('a service that goes away says so to each, waits for no standing query, and closes all with 1012', async () => {
  await using service = await playedService()
  const talkers = await Promise.all([1, 2, 3].map(() => connected(service.url)))
  for (const each of talkers) await each.ask({ type: 'subscribe', id: 'q', query: 'a' })

  await service.leave()

  for (const { told, closed } of talkers) {
    assert.equal(await closed, 1012)
    const notice = told.find(({ type }) => type === 'notice')
    assert.equal(notice?.code, 'going_away')
    assert.ok((notice!.reconnectAfterMs as number) >= 500 && (notice!.reconnectAfterMs as number) <= 2_000)
  }
  assert.equal(service.connections.size, 0)
  assert.deepEqual(
    service.ended.map(({ type, code }) => `${type} ${code}`),
    Array(3).fill('subscribe cancelled'),
  )
})
