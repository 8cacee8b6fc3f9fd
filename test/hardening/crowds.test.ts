import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { applyChanges, type HitChange } from '../../client/apply-changes.ts'
import { UNREAD_MS_MAX } from '../../services/query/unread.ts'
import { until } from '../until.ts'
import { heldMiB } from './memory.ts'
import { type PlayedService, playedService } from './played-service.ts'
import { connected, type Talker, type Told, talker } from './talker.ts'

interface Hit {
  readonly hitId: string
  readonly score: number
  readonly text: string
}

/** What whoever follows the protocol has in the end. */
function followed(told: readonly Told[]): readonly string[] {
  let hits: readonly Hit[] = []
  for (const each of told) {
    if (each.type === 'snapshot') hits = each.hits as readonly Hit[]
    if (each.type === 'diff') hits = applyChanges(hits, each.ops as readonly HitChange<Hit>[])
  }
  return hits.map(({ text }) => text)
}

const large = (version: number) => Array.from({ length: 100 }, (_, i) => `${version} ${i} ${'x'.repeat(2_000)}`)

/** The clock goes on as long as it takes. */
async function untilAsTimePasses(service: PlayedService, what: string, condition: () => boolean): Promise<void> {
  await until(what, () => {
    service.clock.advance(1_000)
    return condition()
  })
}

test('who follows many large standing queries and does not read is cut off alone, and the others have each change', async () => {
  await using service = await playedService({ texts: large(0) })
  const steady = await Promise.all([1, 2, 3].map(() => connected(service.url)))
  const slow = await connected(service.url)
  const subscribe = (each: Talker, id: string) =>
    each.say({ type: 'subscribe', id, query: id, k: 100, minIntervalMs: 0 })
  for (const each of steady) subscribe(each, 'q')
  await until('all have the snapshot', () => steady.every(({ told }) => told.some(({ type }) => type === 'snapshot')))

  slow.socket.pause()
  for (let i = 0; i < 60; i++) subscribe(slow, `q${i}`)
  await untilAsTimePasses(service, 'the slow one is cut off', () => service.cutOff.length > 0)
  slow.socket.resume()
  const code = await slow.closed
  service.put(large(1))
  await untilAsTimePasses(service, 'the others have the change', () =>
    steady.every(({ told }) => followed(told)[0]?.startsWith('1 ') === true),
  )

  assert.equal(code, 4510)
  assert.deepEqual(
    service.ended.map(({ code }) => code),
    Array(60).fill('cancelled'),
  )
  for (const { told } of steady) assert.deepEqual(followed(told), large(1))
})

test('a standing query that is read slowly keeps one message waiting, however often it changes', async () => {
  await using service = await playedService({ texts: large(0) })
  const slow = await connected(service.url)
  slow.say({ type: 'subscribe', id: 'q', query: 'q', k: 100, minIntervalMs: 0 })
  await until('it has the snapshot', () => slow.told.some(({ type }) => type === 'snapshot'))
  const [socket] = [...service.connections.keys()]
  slow.socket.pause()
  let most = 0

  for (let version = 1; version <= VERSIONS; version++) {
    service.put(large(version))
    // So few that it is not cut off for its time.
    service.clock.advance(50)
    await until('it is evaluated', () => service.standing.behind === 0)
    most = Math.max(most, socket!.bufferedAmount)
  }
  slow.socket.resume()
  await untilAsTimePasses(service, 'it has the last', () => followed(slow.told)[0]?.startsWith(`${VERSIONS} `) === true)

  assert.ok(most < 512 * 1_024, `${most} bytes wait`)
  assert.deepEqual(followed(slow.told), large(VERSIONS))
  assert.ok(slow.told.length < VERSIONS - 20, `${slow.told.length} messages`)
})

test('a client of server-sent events that takes nothing is cut off after 10 s', async () => {
  await using service = await playedService({ texts: large(0) })
  const request = http.get(`http://127.0.0.1:${service.port}/v1/subscribe?query=q&k=100&minIntervalMs=0`)
  const response = await new Promise<http.IncomingMessage>((resolve) => request.once('response', resolve))
  response.on('error', () => {})
  response.pause()

  let version = 0
  let seconds = 0
  await until('it is cut off', () => {
    // Until nothing more goes into the kernels' buffers, and then until the time is over.
    service.put(large(++version))
    service.clock.advance(1_000)
    seconds++
    return service.ended.length > 0
  })

  assert.ok(seconds * 1_000 >= UNREAD_MS_MAX)
  assert.deepEqual(
    service.ended.map(({ type }) => type),
    ['subscribe'],
  )
  request.destroy()
})

test('2,000 clients that come back at once all go on where they were', { timeout: 120_000 }, async (t) => {
  await using service = await playedService({ texts: ['first', 'second'] })
  const crowd = (from: readonly Told[] = []) =>
    Array.from({ length: CROWD }, (_, i) => {
      const each = talker(service.url)
      const seen = from[i]
      const resume = seen === undefined ? {} : { resume: { epoch: seen.epoch, seq: seen.seq } }
      const message = { type: 'subscribe', id: 'q', query: `q${i % QUERIES}`, ...resume }
      each.socket.once('open', () => each.say(message))
      return each
    })
  const answers = (of: readonly Talker[]) => of.map(({ told }) => told.find(({ id }) => id === 'q'))
  const all = (of: readonly Talker[]) => {
    const count = answers(of).filter((answer) => answer !== undefined).length
    return count === CROWD || `${count} are answered`
  }
  const first = crowd()
  await until('all have a snapshot', () => all(first), 60_000)
  const before = await heldMiB()
  const seen = answers(first) as Told[]

  for (const { socket } of first) socket.terminate()
  await until('all have gone', () => service.connections.size === 0, 60_000)
  service.put(['second', 'first'])
  await until('the change is evaluated', () => {
    service.clock.advance(50)
    return service.standing.behind === 0
  })
  const began = performance.now()
  const again = crowd(seen)
  await until('all are answered', () => all(again), 60_000)
  t.diagnostic(`all were answered after ${Math.round(performance.now() - began)} ms`)
  const recovered = answers(again) as Told[]
  const grownBy = (await heldMiB()) - before

  assert.ok(recovered.every(({ type, recovered }) => type === 'diff' && recovered === true))
  for (const [i, answer] of recovered.entries()) assert.deepEqual(followed([seen[i]!, answer]), ['second', 'first'])
  assert.equal(service.standing.size, QUERIES)
  assert.deepEqual(service.faults, [])
  assert.ok(grownBy < 60, `${grownBy.toFixed(1)} MiB grown, both ends of the connections counted`)
  for (const { socket } of again) socket.terminate()
})

const VERSIONS = 150
const CROWD = 2_000
const QUERIES = 20
