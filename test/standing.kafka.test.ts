import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import WebSocket from 'ws'
import { applyChanges, type HitChange } from '../client/apply-changes.ts'
import type { Client } from '../client/client.ts'
import { openPlatform, type Platform, type QueryRole, type Role, signed } from './platform.ts'
import { random } from './random.ts'
import { until } from './until.ts'

/** Standing queries on real processes: over WebSocket, and as server-sent events through the gateway. */
let platform: Platform
let query: QueryRole
let worker: Role
let client: Client

before(async () => {
  platform = await openPlatform()
  ;[worker, query] = await Promise.all([platform.worker(), platform.query()])
  client = await platform.client()
})
after(() => platform[Symbol.asyncDispose]())

interface Hit {
  readonly hitId: string
  readonly score: number
  readonly text: string
}

interface Told {
  readonly type: string
  readonly id?: string
  readonly epoch: string
  readonly seq: number
  readonly hits?: readonly Hit[]
  readonly ops?: readonly HitChange<Hit>[]
  readonly recovered?: boolean
}

/** One who follows a standing query over a connection of its own. */
async function follow(message: object, url = query.url) {
  const socket = new WebSocket(url, 'freshet.v1+json')
  const following = { hits: [] as readonly Hit[], told: [] as Told[], socket }
  socket.on('message', (data) => {
    const told = JSON.parse(String(data)) as Told
    if (told.id !== '1') return
    following.told.push(told)
    if (told.type === 'snapshot') following.hits = told.hits!
    if (told.type === 'diff') following.hits = applyChanges(following.hits, told.ops!)
  })
  await once(socket, 'open')
  socket.send(JSON.stringify({ ...message, type: 'subscribe', id: '1' }))
  await until('the first answer is there', () => following.told.length > 0)
  return following
}

const ids = (hits: readonly Hit[]) => hits.map(({ hitId }) => hitId)

test('a document enters, changes, moves and leaves a standing query as it is published, changed and deleted', async () => {
  const wish = { query: 'otters in the reeds', k: 3, filter: { place: 'marsh' } }
  const following = await follow(wish)
  const publish = (id: string, text: string, place = 'marsh') =>
    client.publish([{ id, text, attributes: { place } }], { ack: 'indexed' })

  await publish('a', 'Otters live in the reeds.')
  await until('a has entered', () => ids(following.hits).includes('a#0'))
  await publish('b', 'Otters swim.')
  await until('b has entered', () => ids(following.hits).includes('b#0'))
  await publish('b', 'Otters swim by night.')
  await until('b has changed', () => following.hits.some(({ text }) => text === 'Otters swim by night.'))
  await publish('a', 'Otters live in the reeds.', 'city')
  await until('a has left, since its attribute is another', () => !ids(following.hits).includes('a#0'))
  await client.publish([{ id: 'b', delete: true }], { ack: 'indexed' })
  await until('b has left', () => following.hits.length === 0)

  const ops = new Set(following.told.flatMap(({ ops: each = [] }) => each.map(({ op }) => op)))
  assert.deepEqual(
    ['enter', 'update', 'leave'].filter((op) => !ops.has(op as 'enter')),
    [],
  )
  assert.deepEqual(
    following.told.map(({ seq }) => seq),
    following.told.map((_, i) => following.told[0]!.seq + i),
  )
  following.socket.close()
})

test('who comes back goes on where it was, and who comes too late, or to another instance, gets a snapshot that says so', async () => {
  const wish = { query: 'herons at the weir', k: 5 }
  const first = await follow(wish)
  const { epoch, seq } = first.told.at(-1)!
  first.socket.close()
  await client.publish([{ id: 'heron', text: 'A heron stands at the weir.' }], { ack: 'indexed' })
  const fresh = async () => (await client.search({ ...wish, exact: true })).hits

  const back = await follow({ ...wish, resume: { epoch, seq } })
  const elsewhere = await follow({ ...wish, resume: { epoch, seq } }, (await platform.query()).url)

  assert.deepEqual([back.told[0]!.type, back.told[0]!.recovered], ['diff', true])
  // Where the change was already evaluated, it comes with the first difference.
  const caughtUp = applyChanges(
    first.hits,
    back.told.flatMap(({ ops = [] }) => ops),
  )
  await until(
    'both have it',
    async () => [caughtUp, elsewhere.hits].every((hits) => ids(hits).includes('heron#0')) || ids(await fresh()).join(),
  )
  assert.deepEqual([elsewhere.told[0]!.type, elsewhere.told[0]!.recovered], ['snapshot', false])
  back.socket.close()
  elsewhere.socket.close()
})

test('under random changes, and a worker that is killed, each standing query comes to what a fresh exact search finds', async () => {
  const next = random(7)
  const words = ['mill', 'ford', 'weir', 'sluice', 'delta', 'spring']
  const one = <T>(of: readonly T[]) => of[Math.floor(next() * of.length)]!
  const wishes = [
    { query: 'mill ford', k: 5 },
    { query: 'weir sluice', k: 10, mode: 'dense' },
    { query: 'delta', k: 3, mode: 'keyword' },
    { query: 'spring mill', k: 5, groupBy: 'document', filter: { n: 1 } },
    { query: 'ford', k: 20, scoreMin: 0.3, mode: 'dense' },
  ] as const
  const following = await Promise.all(wishes.map((wish) => follow(wish)))

  for (let i = 0; i < 150; i++) {
    const id = `r${Math.floor(next() * 40)}`
    const document =
      next() < 0.2
        ? ({ id, delete: true } as const)
        : { id, text: `${one(words)} ${one(words)} ${one(words)}.`, attributes: { n: Math.floor(next() * 2) } }
    await client.publish([document])
    if (i === 75) {
      await worker.kill('SIGKILL')
      worker = await platform.worker()
    }
  }
  await client.publish([{ id: 'last', text: 'The last one.' }], { ack: 'indexed', timeoutMs: 60_000 })

  for (const [i, wish] of wishes.entries()) {
    const found = async () => (await client.search({ ...wish, exact: true })).hits
    const isSame = async () => {
      const fresh = await found()
      const own = following[i]!.hits
      const round = (hits: readonly { hitId: string; score: number }[]) =>
        hits.map(({ hitId, score }) => `${hitId} ${score.toFixed(3)}`).join()
      return round(own) === round(fresh) || `${JSON.stringify(wish)} has ${round(own)}, not ${round(fresh)}`
    }
    await until('the standing query has what a search finds', isSame, 40_000)
    following[i]!.socket.close()
  }
  // How many changes come as one difference depends on how they were batched: each has followed some.
  assert.ok(following.every(({ told }) => told.length > 1))
})

test('server-sent events come through the gateway one by one, and go on after the last that was seen', async () => {
  const behind = await platform.query(signed)
  const gateway = await platform.gateway([behind])
  const command = platform.freshet(
    'keys',
    'create',
    'events',
    '--tenant',
    platform.tenant,
    '--scopes',
    'subscribe',
    '--json',
  )
  await command.ended
  const { apiKey } = JSON.parse(command.log()) as { apiKey: string }
  const url = new URL(gateway.url.replace(/^ws/, 'http').replace('/v1/ws', '/v1/subscribe'))
  url.search = new URLSearchParams({ query: 'kites over the field', k: '3' }).toString()
  const headers = { 'x-api-key': apiKey }
  await until('the gateway knows the key', async () => {
    const probe = new AbortController()
    const { status } = await fetch(url, { headers, signal: probe.signal })
    probe.abort()
    return status === 200 || String(status)
  })
  const events = async (last?: string) => {
    const stop = new AbortController()
    const own = { ...headers, ...(last !== undefined && { 'last-event-id': last }) }
    const response = await fetch(url, { headers: own, signal: stop.signal })
    assert.equal(response.headers.get('content-type'), 'text/event-stream')
    const received: { id: string; event: string; data: Told }[] = []
    void (async () => {
      let text = ''
      for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
        text += chunk
        const whole = text.split('\n\n')
        text = whole.pop()!
        for (const block of whole) {
          const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1] ?? ''
          if (field('event') !== '')
            received.push({ id: field('id'), event: field('event'), data: JSON.parse(field('data')) })
        }
      }
    })().catch(() => {})
    await until('the first event is there', () => received.length > 0)
    return { received, stop: () => stop.abort() }
  }

  const first = await events()
  await client.publish([{ id: 'kite', text: 'Kites over the field.' }], { ack: 'indexed' })
  await until('the kite has come', () => first.received.some(({ data }) => JSON.stringify(data).includes('kite#0')))
  first.stop()
  const again = await events(first.received.at(-1)!.id)
  again.stop()

  assert.equal(first.received[0]!.event, 'snapshot')
  assert.deepEqual([again.received[0]!.event, again.received[0]!.data.recovered], ['diff', true])
  const wrong = await fetch(`${url}&k=many`, { headers })
  assert.equal(wrong.status, 400)
})
