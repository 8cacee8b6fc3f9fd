import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ingestFrom } from '../../processors/ingest-documents.ts'
import { readMappings } from '../../processors/mapping/read-mappings.ts'
import type { Control, SourceQuota, TenantQuota } from '../../schemas/records.ts'
import { documents, inbox, mappedNamed, sourceNamed } from '../../schemas/topics.ts'
import { virtualClock } from '../../streams/clock.ts'
import { Retry } from '../../streams/errors.ts'
import { type TestDriver, testDriver } from '../../streams/test-driver.ts'
import { bulkRoom, lagOf } from './bulk-room.ts'
import { type BulkRoom, sourceAdmission } from './source-admission.ts'

const noisy = sourceNamed('noisy')
const configured = { documentsPerSecond: 1_000, bytesPerSecond: 1e9, embeddedTokensPerMinute: 1e9 }
const none = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null }

test('a tenant that floods its source at ten times its share is admitted its share, and the others lose nothing of theirs', async () => {
  await using alone = await ingesting()
  await using beside = await ingesting({ 'tenants/loud': { documentsPerSecond: 10 } })
  const sent: number[] = []
  const delays = { alone: [] as number[], beside: [] as number[] }

  for (let tick = 0; tick < 200; tick++) {
    const quiet = [document('ada', tick), document('bob', tick)]
    await alone.driver.pipe(...quiet)
    await beside.driver.pipe(
      ...Array.from({ length: 10 }, (_, i) => document('loud', tick * 10 + i, noisy)),
      ...quiet.toReversed(),
    )
    sent.push(alone.driver.now())
    for (const each of [alone, beside]) await each.driver.advance(100)
  }
  for (const [name, { driver }] of Object.entries({ alone, beside }))
    for (const tenant of ['ada', 'bob'])
      for (const { tick, at } of await admitted(driver, tenant))
        delays[name as keyof typeof delays].push(at - sent[tick]!)

  assert.equal(delays.alone.length, 400)
  assert.deepEqual(delays.beside, delays.alone)
  const loud = await admitted(beside.driver, 'loud')
  assert.ok(Math.abs(loud.length - (20 + 20 * 10)) <= 5, `${loud.length} of 2,000 were admitted in 20 s`)
  assert.deepEqual(
    loud.map(({ tick }) => tick),
    loud.map((_, i) => i),
  )
  assert.deepEqual(
    beside.driver.states.present().map(({ name, subject, blocking }) => [name, subject, blocking]),
    [['over-quota', 'ingest-documents on noisy/0', false]],
  )
})

test('documents, bytes and embedded tokens of a source are bounds of their own, and the state says which', async () => {
  const bounds: [Partial<SourceQuota>, string][] = [
    [{ documentsPerSecond: 0.5 }, '0.5 documents a second'],
    [{ bytesPerSecond: 2 }, '2 bytes a second'],
    [{ embeddedTokensPerMinute: 12 }, '12 embedded tokens a minute'],
  ]

  for (const [own, words] of bounds) {
    await using world = await ingesting({ 'sources/inbox': own })
    await world.driver.pipe(document('ada', 0), document('ada', 1), document('ada', 2), document('bob', 0, noisy))
    const [state] = world.driver.states.present()
    assert.equal(state?.detail, `source inbox is over its quota of ${words}`)
    assert.equal((await admitted(world.driver, 'ada')).length, 1)
    assert.equal((await admitted(world.driver, 'bob')).length, 1)
    for (let i = 0; i < 100; i++) await world.driver.advance(1_000)
    assert.equal((await admitted(world.driver, 'ada')).length, 3)
    assert.deepEqual(world.driver.states.present(), [])
  }
})

test('a quota that is raised or taken back is in force within a second', async () => {
  const quotas: Quotas = { 'tenants/loud': { documentsPerSecond: 1 / 3_600 } }
  await using world = await ingesting(quotas)
  await world.driver.pipe(...Array.from({ length: 50 }, (_, i) => document('loud', i)))
  const before = (await admitted(world.driver, 'loud')).length

  delete quotas['tenants/loud']
  await world.driver.advance(1_000)

  assert.equal(before, 1)
  assert.equal((await admitted(world.driver, 'loud')).length, 50)
})

test('what is no document pays for its source, is a dead letter all the same, and holds up nobody for long', async () => {
  await using world = await ingesting({ 'sources/noisy': { documentsPerSecond: 2 } })

  await world.driver.pipe(
    ...Array.from({ length: 6 }, (_, i) => ({ key: `no tenant ${i}`, value: text(i), topic: noisy, partition: 0 })),
    document('ada', 0),
  )
  const first = (await world.driver.rejected()).length
  for (let i = 0; i < 4; i++) await world.driver.advance(1_000)

  assert.equal(first, 4)
  assert.equal((await world.driver.rejected()).length, 6)
  assert.equal((await admitted(world.driver, 'ada')).length, 1)
})

test('a restart and a crash in the midst of a flood admit every document once and in order', async () => {
  await using world = await ingesting({ 'tenants/loud': { documentsPerSecond: 20 } })
  await world.driver.pipe(...Array.from({ length: 300 }, (_, i) => document('loud', i, noisy)))

  for (let i = 0; i < 40; i++) {
    await world.driver.advance(700)
    if (i % 7 === 3) await world.driver.restart()
    if (i % 7 === 5) await world.driver.crash()
  }

  assert.deepEqual(
    (await admitted(world.driver, 'loud')).map(({ tick }) => tick),
    Array.from({ length: 300 }, (_, i) => i),
  )
  assert.equal(world.driver.failure, null)
})

test('a bulk source waits while the index is behind, and interactive ones go on', async () => {
  const bulk = { left: 3, reason: 'the index is 998 offsets behind', took: () => void bulk.left-- }
  await using world = await ingesting({ 'sources/noisy': { bulk: true } }, bulk)

  await world.driver.pipe(
    ...Array.from({ length: 10 }, (_, i) => document('loud', i, noisy)),
    ...Array.from({ length: 10 }, (_, i) => document('ada', i)),
  )
  const during = [await admitted(world.driver, 'loud'), await admitted(world.driver, 'ada')].map(({ length }) => length)
  const states = world.driver.states.present().map(({ name, subject, detail }) => [name, subject, detail])
  bulk.left = 100
  await world.driver.advance(250)

  assert.deepEqual(during, [3, 10])
  assert.deepEqual(states, [['bulk-waits', 'ingest-documents on noisy/0', 'the index is 998 offsets behind']])
  assert.equal((await admitted(world.driver, 'loud')).length, 10)
})

test('a mapped source that is declared bulk waits as one that is marked, unless control says otherwise, and its tenant pays', async () => {
  const { mappings } = readMappings(
    '{ topic: rows, tenant: acme, id: "{id}", text: "{text}", priority: bulk }',
    'rows.yaml',
  )
  const topic = mappedNamed('rows')
  const admissionWith = (quotas: Quotas) =>
    sourceAdmission({
      control: controlOf(quotas),
      configured: { tenant: configured, source: configured },
      bulk: { left: 0, reason: 'behind', took() {} },
      mappings: new Map(mappings.map((mapping) => [mapping.topic, mapping])),
      now: () => 0,
    })
  const record = {
    topic: 'rows',
    partition: 0,
    offset: 0,
    key: Buffer.from('7'),
    value: null,
    timestamp: 0,
    headers: {},
  }
  const arrived = { topic, record, part: { ofTopic: 1, ofStage: 1 } }
  const loud = admissionWith({ 'sources/rows': { bulk: false }, 'tenants/acme': { documentsPerSecond: 0.5 } })

  const held = admissionWith({}).admit(arrived)
  const [first, second] = [loud.admit(arrived), loud.admit(arrived)]

  assert.equal(held?.state, 'bulk-waits')
  assert.equal(first, null)
  assert.match(second?.reason ?? '', /^tenant acme is over its quota/)
})

test('there is room for bulk up to the bound, less what was admitted since, and none while it is not known', async () => {
  const clock = virtualClock()
  let ends: (() => Promise<{ partition: number; start: number; end: number }[]>) | null = async () => [
    { partition: 0, start: 0, end: 10 },
    { partition: 1, start: 50, end: 60 },
    { partition: 2, start: 7, end: 7 },
  ]
  let isWanted = true
  const lows = [4, -1, -1]
  const room = bulkRoom({
    lagMax: 20,
    wanted: () => isWanted,
    ends: () => (ends === null ? Promise.reject(new Retry('Kafka is away')) : ends()),
    low: (partition) => lows[partition]!,
    clock,
    failed: (error) => assert.fail(error),
  })
  const seen: number[] = [room.left]
  const look = async () => {
    clock.advance(250)
    await new Promise((resolve) => setImmediate(resolve))
    seen.push(room.left)
  }

  await look()
  room.took()
  seen.push(room.left)
  lows[1] = 59
  await look()
  ends = null
  await look()
  const { reason } = room
  isWanted = false
  await look()
  room.close()

  assert.deepEqual(seen, [0, 5, 4, 15, 0, 0])
  assert.match(reason, /it is not known how far the index is behind documents: Kafka is away/)
  assert.equal(
    lagOf([{ partition: 0, start: 5, end: 5 }], () => -1),
    0,
  )
})

type Quotas = Record<string, Partial<SourceQuota & TenantQuota>>

const controlOf =
  (quotas: Quotas) =>
  (subject: string): Control | undefined => {
    const own = quotas[subject]
    if (own === undefined) return undefined
    return (subject.startsWith('sources/')
      ? { source: { ...none, bulk: false, ...own } }
      : { tenant: { ...none, erasedAt: null, ...own } }) as unknown as Control
  }

/** The real stage with the real admission, from `inbox` and `noisy`. */
async function ingesting(quotas: Quotas = {}, bulk: BulkRoom = { left: 0, reason: '', took() {} }) {
  const clock = virtualClock()
  const { admit } = sourceAdmission({
    control: controlOf(quotas),
    configured: { tenant: configured, source: configured },
    bulk,
    now: clock.now,
  })
  // The first is where a record without a topic goes.
  const driver = await testDriver(ingestFrom([inbox, noisy]), { admit }, { partitions: 1, clock })
  return {
    driver,
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
    },
  }
}

const text = (tick: number) => ({
  title: null,
  text: `${tick}`,
  contentType: null,
  url: null,
  language: null,
  attributes: {},
  acl: null,
})

const document = (tenant: string, tick: number, topic = inbox) => ({
  key: `${tenant}/${tick}`,
  value: text(tick),
  topic,
})

/** What of the tenant is in `documents`, in order, and when it came. */
async function admitted({ broker, serde }: TestDriver, tenant: string): Promise<{ tick: number; at: number }[]> {
  const found = []
  for (const { key, value, timestamp } of broker.records(documents.name)) {
    if (!key?.toString().startsWith(`${tenant}/`) || value === null) continue
    const { text } = (await serde.decode(documents, value)) as { text: string }
    found.push({ tick: Number(text), at: timestamp })
  }
  return found
}
