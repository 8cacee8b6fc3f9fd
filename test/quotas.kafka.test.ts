import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect } from '../client/client.ts'
import { documents, inbox, sourceNamed } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { atRest } from './at-rest.ts'
import { kindOf, pointsOf } from './index-points.ts'
import { openPlatform, type Platform, type QueryRole, type Role, signed } from './platform.ts'
import { freePort } from './process.ts'
import { recordsOf } from './topic-records.ts'
import { until } from './until.ts'

/** A source of its own that is flooded, beside `inbox`; quotas are set with the command while everything runs. */
const flood = sourceNamed('flood')
const workerPort = await freePort()
let platform: Platform
let workers: Role[]
let client: Awaited<ReturnType<Platform['client']>>
let producer: Awaited<ReturnType<Platform['broker']['producer']>>

before(async () => {
  platform = await openPlatform({
    partitions: 2,
    env: { FRESHET_SOURCES: flood.name, FRESHET_WORKER_PORT: String(workerPort), FRESHET_BULK_LAG_MAX: '5' },
  })
  const [worker] = await Promise.all([platform.worker({ FRESHET_WORKER_PORT: String(workerPort) }), platform.query()])
  workers = [worker]
  client = await platform.client()
  producer = await platform.broker.producer()
})
after(() => platform[Symbol.asyncDispose]())

async function freshet<T>(...args: string[]): Promise<T> {
  const command = platform.freshet(...args, '--json')
  await command.ended
  return JSON.parse(command.log()) as T
}

const raw = (text: string) => ({
  text,
  contentType: null,
  title: null,
  url: null,
  language: null,
  attributes: {},
  acl: null,
})
const record = (topic: typeof inbox, key: string, partition: number): NewRecord => ({
  topic: platform.topic(topic),
  partition,
  key,
  value: platform.serde.encode(inbox, raw(`The bittern of ${key} booms.`)),
})

interface State {
  readonly name: string
  readonly subject: string
  readonly detail: string
  readonly advice: string
}

async function statesOf({ adminUrl }: Role): Promise<readonly State[]> {
  const response = await fetch(`${adminUrl}/health/ready`)
  assert.equal(response.status, 200)
  return ((await response.json()) as { states: readonly State[] }).states
}

/** Keys of the tenant in `documents`, as often as they are there. */
async function ingested(tenant: string): Promise<string[]> {
  const found = await recordsOf(platform, documents)
  return found.flatMap(({ key }) => (key?.toString().startsWith(`${tenant}/`) ? [key.toString()] : []))
}

const LOUD = 600
const BULK = 160

test('a flooded source is paused and says so, others flow, and in the end every document of it is served once', async () => {
  await freshet('quota', 'set', '--tenant', 'loud', '--documents-per-second', '4')
  const sent = Array.from({ length: LOUD }, (_, i) => record(flood, `loud/${i % 2}-${Math.floor(i / 2)}`, i % 2))

  await producer.send(sent)
  await until('the worker says that the source is paused', async () => (await statesOf(workers[0]!)).length === 2)
  await producer.send(Array.from({ length: 20 }, (_, i) => record(inbox, `acme/quiet-${i}`, i % 2)))
  await until(
    'the others are served',
    async () => (await client.search({ query: 'bittern booms', k: 100 })).hits.length === 20,
    10_000,
  )
  const during = await ingested('loud')
  const states = await statesOf(workers[0]!)
  const status = await freshet<{ roles: { role: string; state: string; states: State[] }[] }>('status')
  const shown = await freshet<{ name: string; left: { of: string; share: number }[] }[]>(
    'quota',
    'show',
    '--tenant',
    'loud',
  )

  assert.ok(during.length < LOUD / 2, `${during.length} of ${LOUD} are there already: the flood was not held`)
  assert.deepEqual(
    states.map(({ name, subject }) => `${name} of ${subject}`).sort(),
    [0, 1].map((partition) => `over-quota of ingest-documents on ${platform.topic(flood)}/${partition}`),
  )
  assert.match(states[0]!.detail, /^tenant loud is over its quota of 4 documents a second/)
  assert.match(states[0]!.advice, /freshet quota set/)
  const role = status.roles.find(({ role }) => role === 'worker')!
  assert.deepEqual([role.state, role.states.map(({ name }) => name)], ['ready', ['over-quota', 'over-quota']])
  assert.ok(shown[0]!.left.some(({ of, share }) => of === 'tenant loud' && share < 1))

  // Longer than the session of a member, and then another one comes, and the first is killed.
  await until('the pause outlives a session', async () => (await ingested('loud')).length >= during.length + 32, 60_000)
  assert.doesNotMatch(workers[0]!.log(), /task revoked/)
  workers.push(await platform.worker())
  await until('the partitions are shared', async () => (await statesOf(workers[1]!)).length > 0, 30_000)
  const [share] = await statesOf(workers[1]!)
  assert.match(share!.detail, /of which 50 % is this worker's/)
  await workers[0]!.kill('SIGKILL')
  await freshet('quota', 'clear', '--tenant', 'loud')
  await until('all are there', async () => (await ingested('loud')).length >= LOUD, 60_000)
  await atRest(platform)
  await until('nothing is paused any more', async () => (await statesOf(workers[1]!)).length === 0)

  const keys = await ingested('loud')
  assert.equal(keys.length, LOUD)
  assert.equal(new Set(keys).size, LOUD)
  await inOrder()
  const manifests = (await pointsOf(platform)).filter(
    (point) => kindOf(point) === 'manifest' && point.payload.deleted === false,
  )
  assert.equal(manifests.length, LOUD + 20)
})

/** Within one partition of `documents`, what came from one partition of the flood lies in its order. */
async function inOrder(): Promise<void> {
  const last = new Map<string, number>()
  for (const { key, partition } of await recordsOf(platform, documents)) {
    const [, source, number] = /^loud\/(\d)-(\d+)$/.exec(key!.toString()) ?? []
    if (source === undefined) continue
    const place = `${source} in ${partition}`
    assert.ok(Number(number) > (last.get(place) ?? -1), `${key} comes after ${last.get(place)}`)
    last.set(place, Number(number))
  }
  assert.equal(last.size, 4)
}

test('a bulk source goes on only while the index is near, others always, and all of it is served', async () => {
  const worker = workers.at(-1)!
  await freshet('quota', 'set', '--source', flood.name, '--bulk')
  const seen = new Set<string>()

  await producer.send(Array.from({ length: BULK }, (_, i) => record(flood, `bulk/${i}`, i % 2)))
  await until('the source waits', async () => {
    for (const { name } of await statesOf(worker)) seen.add(name)
    return seen.size > 0
  })
  await producer.send([record(inbox, 'acme/between', 0)])
  await until('the other one is there', async () => (await ingested('acme')).includes('acme/between'))
  const during = (await ingested('bulk')).length
  await until('all are there', async () => (await ingested('bulk')).length >= BULK, 120_000)
  await atRest(platform)
  await until('nothing waits any more', async () => (await statesOf(worker)).length === 0)

  assert.deepEqual([...seen], ['bulk-waits'])
  assert.ok(during < BULK, `${during} of ${BULK} were there before the other one`)
  assert.equal(new Set(await ingested('bulk')).size, BULK)
})

test('what is over a quota at the door is a 429 with when to come back, over HTTP and over a WebSocket', async () => {
  const query: QueryRole = await platform.query(signed)
  const gateway = await platform.gateway([query])
  await freshet('quota', 'set', '--tenant', 'door', '--documents-per-second', '2')
  const { apiKey } = await freshet<{ apiKey: string }>(
    'keys',
    'create',
    'door',
    '--tenant',
    'door',
    '--scopes',
    'publish',
  )
  const url = gateway.url.replace(/^ws/, 'http').replace('/v1/ws', '/v1/documents')
  const publish = (id: string) =>
    fetch(url, {
      method: 'POST',
      headers: { 'x-api-key': apiKey },
      body: JSON.stringify({ documents: [{ id, text: 'The bittern of the door booms.' }] }),
    })
  await until('the gateway knows the key', async () => (await publish('first')).status === 200)
  await until('the quota is spent', async () => (await publish('more')).status === 429)

  const refused = await publish('refused')

  assert.equal(refused.status, 429)
  assert.ok(Number(refused.headers.get('retry-after')) >= 1)
  assert.equal(refused.headers.get('ratelimit-policy'), '"documents";q=4;w=2')
  assert.match(refused.headers.get('ratelimit')!, /^"documents";r=0;t=1$/)
  const socket = await connect(gateway.url, { apiKey })
  const item = { id: 'socket', text: 'The bittern of the socket booms.' }
  const error = await until429(() => socket.publish([item]))
  await socket.close()
  assert.equal(error.code, 'rate_limited')
  assert.ok(error.retryAfterMs! > 0 && error.retryAfterMs! <= 1_000)
})

async function until429(attempt: () => Promise<unknown>): Promise<{ code: string; retryAfterMs?: number }> {
  for (let i = 0; i < 100; i++) {
    const error = await attempt().then(
      () => null,
      (error) => error,
    )
    if (error !== null) return error
  }
  throw new Error('nothing was refused')
}
