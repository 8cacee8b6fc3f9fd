import assert from 'node:assert/strict'
import { test } from 'node:test'
import { clientOf, hitsOf, playService } from '../test/sdk/played-service.ts'
import { until } from '../test/until.ts'
import type { FreshetError } from './client.ts'
import { noTries, type Tries, whatNext } from './reconnecting.ts'

const lost = { error: { code: 'closed', retryable: true, retryAfterMs: undefined }, wasSteady: false, comeBackMs: null }

test('the time between two connections is chance below a bound that doubles, and ends at a maximum', () => {
  const bounds: number[] = []
  let tries: Tries = noTries
  for (let i = 0; i < 9; i++) {
    const next = whatNext(lost, tries, false, () => 1)!
    bounds.push(next.afterMs)
    tries = next.tries
  }

  assert.deepEqual(bounds, [250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000, 15_000])
  assert.equal(whatNext(lost, tries, false, () => 0)?.afterMs, 0)
  assert.equal(whatNext({ ...lost, wasSteady: true }, tries, false, () => 1)?.afterMs, 250)
  assert.equal(whatNext({ ...lost, comeBackMs: 700 }, tries, false, () => 1)?.afterMs, 700)
  const limited = { code: 'rate_limited', retryable: true, retryAfterMs: 3_000 }
  assert.equal(whatNext({ ...lost, error: limited }, noTries, false, () => 1)?.afterMs, 3_250)
})

test('a credential that is refused is renewed once, if it can be', () => {
  const refused = { ...lost, error: { code: 'unauthenticated', retryable: false, retryAfterMs: undefined } }

  const first = whatNext(refused, noTries, true, () => 1)

  assert.equal(first?.tries.refused, true)
  assert.equal(
    whatNext(refused, first!.tries, true, () => 1),
    null,
  )
  assert.equal(
    whatNext(refused, noTries, false, () => 1),
    null,
  )
  assert.equal(whatNext({ ...refused, wasSteady: true }, first!.tries, true, () => 1)?.afterMs, 250)
})

test('a code that nothing can be done about ends the client, and every other one is come back from', async (t) => {
  const final = { 4400: 'bad_request', 4401: 'unauthenticated', 4403: 'unauthenticated', 4406: 'bad_request' }
  for (const [code, expected] of Object.entries(final)) {
    const service = await playService(t)
    const client = await clientOf(t, service, { apiKey: 'fk' })
    const following = client.subscribe({ query: 'a' })
    await following.next()
    service.close(Number(code), 'for good')
    await assert.rejects(following.next(), { code: expected, retryable: false, message: /for good/ })
    await assert.rejects(client.search({ query: 'a' }), { code: expected })
    assert.equal(service.connections, 1)
  }

  const service = await playService(t)
  const client = await clientOf(t, service)
  for (const [i, code] of [1000, 1001, 1008, 1009, 1011, 1012, 1013, 4408, 4510].entries()) {
    service.close(code)
    await until('it has come back', () => service.connections === i + 2 && service.open === 1)
    await client.search({ query: 'a' })
  }
})

test('a server that goes away answers what is under way, is asked nothing more, and is come back to when it says', async (t) => {
  const service = await playService(t)
  service.become(hitsOf('a#0'))
  const client = await clientOf(t, service, {}, { random: () => 1 })
  const held: (() => void)[] = []
  service.intervene = ({ sent }, socket) => {
    if (sent?.type !== 'result' || held.length > 0) return false
    held.push(() => socket.send(JSON.stringify(sent)))
    return true
  }
  const asked = client.search({ query: 'under way' })
  await until('the answer is held', () => held.length === 1)

  service.tell({ type: 'notice', code: 'going_away', reconnectAfterMs: 60 })
  service.tell({ type: 'pong' })
  await until(
    'the client has it',
    async () => (await client.wait('t', { signal: AbortSignal.timeout(20) }).catch(() => true)) === true,
  )
  const later = client.search({ query: 'later' })
  const before = service.received.filter(({ type }) => type === 'search').map(({ query }) => query)
  held[0]!()

  assert.equal((await asked).hits.length, 1)
  assert.equal((await later).hits.length, 1)
  assert.deepEqual(before, ['under way'])
  const searches = service.received.filter(({ type }) => type === 'search').map(({ query }) => query)
  assert.deepEqual(searches, ['under way', 'later'])
  assert.equal(service.connections, 2)
})

test('one that is idle leaves a server that goes away by itself', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service, {}, { random: () => 1 })

  service.tell({ type: 'notice', code: 'going_away', reconnectAfterMs: 10 })

  await until('it has come back', () => service.connections === 2 && service.open === 1)
  await client.search({ query: 'a' })
})

test('a handshake that is refused says why, and comes back only from what may pass', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service)
  service.refusal = { status: 429, code: 'rate_limited', headers: { 'retry-after': '0' } }
  service.cut()
  await until('it is gone', () => service.open === 0)
  const asking = client.search({ query: 'a' })
  service.refusal = null
  await asking

  service.refusal = { status: 403, code: 'forbidden' }
  service.cut()
  await assert.rejects(
    until('it is over', async () => (await client.search({ query: 'a' })) === undefined),
    {
      code: 'forbidden',
      retryable: false,
      message: 'refused: forbidden',
    },
  )
  await assert.rejects(clientOf(t, service), { code: 'forbidden' })
})

test('a network that says nothing is given up, and another connection made', async (t) => {
  const service = await playService(t, { heartbeatMs: 100 })
  const client = await clientOf(t, service)
  service.intervene = ({ heard }) => heard?.type === 'ping' && service.connections === 1

  await until('it has come back', () => service.connections === 2)

  assert.ok(service.received.some(({ type }) => type === 'ping'))
  await client.search({ query: 'a' })
})

test('a token is asked for before each connection, and a fresh one is shown before it expires', async (t) => {
  const service = await playService(t)
  const jwt = (n: number, ms: number) =>
    `h.${Buffer.from(JSON.stringify({ n, exp: (Date.now() + ms) / 1_000 })).toString('base64url')}.s`
  const tokens = [jwt(1, 300), jwt(2, 3_600_000), jwt(3, 3_600_000), jwt(4, 3_600_000)]
  let asked = 0
  const client = await clientOf(t, service, { token: async () => tokens[asked++]! })

  await until('the fresh one is shown', () => service.received.some(({ type }) => type === 'init'))
  service.cut()
  await until('it has come back', () => service.connections === 2)
  await client.search({ query: 'a' })
  service.close(4401, 'expired')
  await until('with another one', () => service.connections === 3)
  await client.search({ query: 'a' })

  const shown = service.received.flatMap(({ type, token, authorization }) =>
    type === 'init' ? [token] : type === 'handshake' ? [String(authorization).replace('Bearer ', '')] : [],
  )
  assert.deepEqual(shown, tokens)
})

test('a token that never comes, or cannot be had, is an error, and does not hold up the end', async (t) => {
  const service = await playService(t)
  let asked = 0
  const token = () => (++asked === 1 ? 'a.first.one' : new Promise<string>(() => {}))
  const client = await clientOf(t, service, { token, timeoutMs: 60_000 })
  service.cut()
  await until('another is asked for', () => asked === 2)

  const waiting = client.search({ query: 'a' })
  await Promise.all([assert.rejects(waiting, { code: 'closed' }), client.close()])

  await assert.rejects(clientOf(t, service, { token: () => new Promise(() => {}), timeoutMs: 20 }), {
    code: 'unauthenticated',
    message: /nothing within 20 ms/,
  })
  await assert.rejects(clientOf(t, service, { token: () => Promise.reject(new Error('no cookie')) }), /no cookie/)
})

test('a page shows its credential in the first message', async (t) => {
  const service = await playService(t)
  service.intervene = ({ sent }) => sent?.type === 'ready' && !service.received.some(({ type }) => type === 'init')

  const client = await clientOf(t, service, { apiKey: 'fk_of_a_page' }, { setsHeaders: false })
  await client.search({ query: 'a' })

  assert.deepEqual(
    service.received.slice(0, 2).map(({ type, token, authorization }) => [type, token, authorization]),
    [
      ['handshake', undefined, undefined],
      ['init', 'fk_of_a_page', undefined],
    ],
  )
})

test('a client that is not to come back ends with its connection', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service, { reconnect: false })
  service.cut()

  await assert.rejects(
    until('it is over', async () => (await client.search({ query: 'a' })) === undefined),
    (error: FreshetError) => error.code === 'closed' && error.retryable,
  )
  assert.equal(service.connections, 1)
})
