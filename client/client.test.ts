import assert from 'node:assert/strict'
import { test } from 'node:test'
import { positionsOf } from '../search/freshness.ts'
import { clientOf, hitsOf, type PlayedService, playService } from '../test/sdk/played-service.ts'
import { until } from '../test/until.ts'
import { connect, type FreshetError } from './client.ts'

const note = { id: 'note', text: 'Freshness is what we are for.' }

test('what is asked is answered, and a client that is closed is done with', async (t) => {
  const service = await playService(t)
  service.become(hitsOf('a#0', 'b#0'))
  const client = await clientOf(t, service, { apiKey: 'fk_of_ada' })

  const found = await client.search({ query: 'a' })
  const { token } = await client.publish([note])
  const waited = await client.wait(token)
  await client.close()

  assert.deepEqual(
    found.hits.map(({ hitId }) => hitId),
    ['a#0', 'b#0'],
  )
  assert.deepEqual(positionsOf(token), { epoch: 1, documents: { 0: [1] } })
  assert.equal(waited.asOf.complete, true)
  assert.equal(service.received[0]?.authorization, 'Bearer fk_of_ada')
  await assert.rejects(client.search({ query: 'a' }), { code: 'closed', retryable: false })
})

test('wherever the connection breaks, what does no harm is asked again, and nothing is published twice', async (t) => {
  const ends: Record<string, number> = {}
  let points = 1
  for (let cutAt = 1; cutAt <= points; cutAt++) {
    const service = await playService(t)
    service.become(hitsOf('a#0'))
    let happened = 0
    service.intervene = (_what, socket) => {
      if (++happened !== cutAt) return false
      socket.terminate()
      return true
    }
    const end = await conversation(t, service)
    points = Math.max(points, happened)
    ends[end] = (ends[end] ?? 0) + 1

    assert.ok(service.written.length <= 1, `cut at ${cutAt}, the document was written ${service.written.length} times`)
    assert.equal(end === 'published' ? service.written.length : 1, 1)
  }

  assert.ok(points >= 10, `there were ${points} points only`)
  assert.deepEqual(Object.keys(ends).sort(), ['published', 'unconfirmed'])
  t.diagnostic(`${points} points: ${JSON.stringify(ends)}`)
})

/** Everything that a client does, once; rejects with what is not as it is to be. Of the first connection only `ready` is needed. */
async function conversation(t: Parameters<typeof clientOf>[0], service: PlayedService): Promise<string> {
  const client = await clientOf(t, service).catch(() => clientOf(t, service))
  const following = client.subscribe({ query: 'a' })
  for (let first = await following.next(); first.value?.hits.length !== 1; first = await following.next());
  assert.equal((await client.search({ query: 'a' })).hits.length, 1)
  const end = await client.publish([note], { ack: 'indexed' }).then(
    () => 'published',
    (error: FreshetError) => {
      assert.deepEqual([error.code, error.retryable], ['unconfirmed', true])
      assert.match(error.message, /not known whether/)
      return error.code
    },
  )
  await client.wait(client.token)
  service.become(hitsOf('a#0', 'b#0'))
  for await (const { hits } of following) if (hits.length === 2) break
  await client.close()
  return end
}

test('a publish that was accepted goes on as a wait, and keeps its token', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service)
  let isCut = false
  service.intervene = ({ sent }, socket) => {
    if (sent?.type !== 'done' || isCut) return false
    isCut = true
    socket.terminate()
    return true
  }

  const { token } = await client.publish([note], { ack: 'indexed' })

  assert.deepEqual(positionsOf(token)?.documents, { 0: [1] })
  assert.deepEqual(service.written, ['note'])
  assert.equal(service.received.at(-1)?.after, token)
})

test('an operation that is aborted rejects at once with the reason, and the server is told', async (t) => {
  const service = await playService(t)
  service.intervene = ({ heard }) => heard !== undefined
  const client = await clientOf(t, service)
  const asked = {
    search: (signal: AbortSignal) => client.search({ query: 'a' }, { signal }),
    publish: (signal: AbortSignal) => client.publish([note], { signal }),
    wait: (signal: AbortSignal) => client.wait('t', { signal }),
  }

  for (const [type, ask] of Object.entries(asked)) {
    const stop = new AbortController()
    const asking = ask(stop.signal)
    await until('it has come', () => service.received.at(-1)?.type === type)
    const { id } = service.received.at(-1)!
    stop.abort(new Error(`no ${type}`))
    await assert.rejects(asking, { message: `no ${type}` })
    await until('the server is told', () => service.received.at(-1)?.type === 'cancel')
    assert.equal(service.received.at(-1)?.id, id)
    await assert.rejects(ask(stop.signal), { message: `no ${type}` })
  }
  const none = { url: 'ws://127.0.0.1:9' }
  await assert.rejects(clientOf(t, none, { signal: AbortSignal.abort(new Error('no connect')) }), {
    message: 'no connect',
  })
  await assert.rejects(clientOf(t, none), { code: 'unreachable' })
})

test('without a connection an operation waits its time, and says that nothing answers', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service, { offlineMsMax: 50 }, { random: () => 1 })
  service.refusal = { status: 503, code: 'unavailable' }
  service.cut()
  await until('the connection is gone', () => service.open === 0)

  await assert.rejects(client.search({ query: 'a' }), { code: 'unreachable', retryable: true })
  await assert.rejects(client.publish([note]), { code: 'unreachable', retryable: true })
  const many = await Promise.allSettled(Array.from({ length: 80 }, () => client.search({ query: 'a' })))

  const codes = new Set(
    many.map((each) => (each.status === 'rejected' ? (each.reason as FreshetError).code : 'answered')),
  )
  assert.deepEqual(codes, new Set(['unreachable', 'rate_limited']))
  assert.deepEqual(service.written, [])
})

test('a message that the server would close the connection for is not sent', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service)

  await assert.rejects(client.publish([{ id: 'long', text: 'x'.repeat(10_000) }]), {
    code: 'bad_request',
    retryable: false,
  })

  assert.equal(service.connections, 1)
})

test('two answers to one question, and answers to none, change nothing', async (t) => {
  const service = await playService(t)
  service.become(hitsOf('a#0'))
  service.intervene = ({ sent }, socket) => {
    if (sent?.type === 'result')
      for (const id of [sent.id, sent.id, '999', undefined]) socket.send(JSON.stringify({ ...sent, id }))
    return sent?.type === 'result'
  }
  const client = await clientOf(t, service)

  const [one, two] = await Promise.all([client.search({ query: 'a' }), client.search({ query: 'b' })])

  assert.deepEqual([one.hits.length, two.hits.length, service.connections], [1, 1, 1])
})

test('what is no message ends that connection, and the next one goes on', async (t) => {
  const garbage = ['{', 'null', '[]', '"ready"', '{"id":"1"}', Buffer.from([1, 2, 3]), '{"type":7}']
  const service = await playService(t)
  const client = await clientOf(t, service)

  for (const [i, each] of garbage.entries()) {
    service.tell(each)
    await until('it has come back', () => service.connections === i + 2 && service.open === 1)
    assert.equal((await client.search({ query: 'a' })).hits.length, 0)
  }
  service.tell({ type: 'of a later version' })

  assert.equal((await client.search({ query: 'a' })).hits.length, 0)
  assert.equal(service.connections, garbage.length + 1)
})

test('a search that reads its own writes demands all that this client has published, and nothing before', async (t) => {
  const service = await playService(t)
  const client = await clientOf(t, service, { readYourWrites: true })
  const demanded = () => (service.received.at(-1)?.freshness as { after?: string } | undefined)?.after

  await client.search({ query: 'a' })
  const nothing = demanded()
  await client.publish([note])
  await client.publish([{ ...note, id: 'other' }])
  await client.search({ query: 'a' })
  const both = demanded()
  await client.search({ query: 'a', freshness: 'any' })
  const without = service.received.at(-1)?.freshness

  assert.equal(nothing, undefined)
  assert.deepEqual(positionsOf(both!)?.documents, { 0: [1, 2] })
  assert.equal(without, 'any')
  const plain = await clientOf(t, service)
  await plain.publish([note])
  await plain.search({ query: 'a' })
  assert.equal(service.received.at(-1)?.freshness, undefined)
  await plain.search({ query: 'a', freshness: { after: 'mine', timeoutMs: 7 } })
  const { after, timeoutMs } = service.received.at(-1)!.freshness as { after: string; timeoutMs: number }
  assert.deepEqual([positionsOf(after)?.documents, timeoutMs], [{ 0: [3] }, 7])
})

test('a runtime without a WebSocket is told what to pass, and one that was passed is used', async (t) => {
  const service = await playService(t)
  const { WebSocket } = await import('ws')

  await assert.rejects(clientOf(t, service, {}, { WebSocket: undefined }), {
    code: 'unsupported',
    message: /connect\(url, \{ WebSocket \}\)/,
  })
  const client = await clientOf(t, service, { WebSocket, apiKey: 'fk_of_ada' })
  await client.search({ query: 'a' })

  assert.equal(service.received[0]?.authorization, 'Bearer fk_of_ada')
  await assert.rejects(connect('http//nowhere'), { code: 'bad_request', message: /^url: / })
})
