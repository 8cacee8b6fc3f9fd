import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type MemoryIndex, memoryIndex } from '../processors/memory-index.ts'
import { type MemoryPipeline, memoryPipeline } from '../processors/memory-pipeline.ts'
import type { Control } from '../schemas/records.ts'
import {
  actions,
  catalogue,
  control,
  deadLetters,
  documents,
  inbox,
  indexed,
  redo,
  vectors,
} from '../schemas/topics.ts'
import type { Clock } from '../streams/clock.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { nameIn, type Topic } from '../streams/topic.ts'
import { erase } from './erase.ts'
import type { ErasureReceipt, PlaceReceipt } from './erasure-receipt.ts'
import { type EraseWorld, hashOfKey } from './erasure-world.ts'

const PARTITIONS = 2
const DAY_MS = 86_400_000

test('an erased document is served no more and deleted in every compacted topic; the others are as they were', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/a', 'a newer text'), document('acme/b'), document('other/a'))
  const others = run.index.served().filter(({ key }) => key !== 'acme/a')

  const receipt = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  assert.deepEqual([receipt.complete, receipt.open], [true, []])
  assert.deepEqual(run.index.served(), others)
  assert.deepEqual(await run.differences(), [])
  for (const each of [documents, vectors, indexed]) assert.equal(await latest(run, each, 'acme/a'), null, each.name)
  for (const each of [documents, vectors, indexed]) assert.notEqual(await latest(run, each, 'acme/b'), null, each.name)
  assert.deepEqual(
    [place(receipt, 'documents').contents, place(receipt, 'documents').state, place(receipt, 'inbox').contents],
    [2, 'going', 2],
  )
  assert.ok(receipt.places.every(({ state }) => state !== 'open' && state !== 'unbounded'))
})

test('the receipt lists every topic and collection, each with a time or with nothing there, and names no key', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/very-private'))

  const receipt = await erase({ keys: ['acme/very-private'] }, await worldOf(run), { timeoutMs: 10_000 })

  const named = new Set(receipt.places.map((each) => each.place))
  const held = catalogue.filter(({ name }) => name !== 'ingest-positions' && name !== 'progress')
  assert.deepEqual(
    held.filter((each) => !named.has(nameIn(run.driver.scope, each))),
    [],
  )
  assert.ok(named.has('collection test'))
  for (const { state, contents, contentsUntil } of receipt.places)
    assert.ok(state !== 'going' || contents === 0 || contentsUntil! > run.driver.now())
  assert.deepEqual(receipt.of, [`sha256:${hashOfKey('acme/very-private')}`])
  assert.ok(!JSON.stringify(receipt).includes('very-private'))
  const written = await run.driver.values(actions)
  assert.deepEqual(
    written.map((each) => [each?.what, each?.subject]),
    [['erase', receipt.of[0]]],
  )
  assert.ok(!JSON.stringify(written).includes('very-private'))
})

test('a look changes nothing', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), { key: 'acme/a', bytes: Buffer.from('no Avro') })
  const ends = () => catalogue.map((each) => run.driver.broker.ends(nameIn(run.driver.scope, each)))
  const before = ends()

  const receipt = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000, dryRun: true })

  assert.deepEqual(ends(), before)
  assert.deepEqual(
    [receipt.complete, place(receipt, 'documents').state, place(receipt, 'dead-letters').contents],
    [false, 'open', 1],
  )
})

test('dead letters of an erased key are decided to be erased, those of others are not', async () => {
  await using run = await opened()
  await run.driver.pipe({ key: 'acme/a', bytes: Buffer.from('secret') }, { key: 'acme/b', bytes: Buffer.from('other') })

  const receipt = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  const decided = (await run.driver.values(control)).filter((each) => (each as Control)?.deadLetter != null)
  assert.deepEqual(
    decided.map((each) => (each as Control).deadLetter!.state),
    ['erased'],
  )
  assert.equal((await run.driver.values(deadLetters)).length, 2)
  assert.equal(place(receipt, 'dead-letters').contentsUntil! > run.driver.now() + 30 * DAY_MS, true)
})

test('what ingest still has before it is deleted when it comes out', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'))
  await run.driver.stop()
  await run.driver.pipe(document('acme/a', 'on its way'))
  const world = await worldOf(run)
  let waits = 0
  const clock: Clock = {
    now: world.clock.now,
    wait: async (ms) => {
      if (++waits === 3) await run.driver.start()
      await world.clock.wait(ms)
    },
  }

  const receipt = await erase({ keys: ['acme/a'] }, { ...world, clock }, { timeoutMs: 60_000 })

  assert.deepEqual([receipt.complete, waits >= 3, run.index.served()], [true, true, []])
  assert.equal(await latest(run, documents, 'acme/a'), null)
})

test('while nobody works, what is not done is said, and the same erasure later is complete', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'))
  await run.driver.stop()

  const first = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 2_000 })
  await run.driver.start()
  const second = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  assert.equal(first.complete, false)
  assert.match(first.open.join('; '), /collection test has not deleted 1 yet/)
  assert.deepEqual([second.complete, run.index.served()], [true, []])
})

test('an erasure that is killed after any of its writes ends with the same receipt when it is run again', async () => {
  const straight = await killedAfter(Number.POSITIVE_INFINITY)

  const killed = []
  for (let writes = 0; writes < straight.writes; writes++) killed.push(await killedAfter(writes))

  assert.ok(straight.writes >= 4, `${straight.writes} writes`)
  for (const { receipt, again, served } of killed) {
    assert.deepEqual(essence(receipt), essence(straight.receipt))
    assert.deepEqual(again, receipt)
    assert.deepEqual(served, ['acme/b'])
  }
})

test('a tenant is erased whole: its documents, its keys, and whatever comes later; other tenants are as they were', async () => {
  const erased = new Map<string, number>()
  await using run = await opened({ erasedAt: (tenant) => erased.get(tenant) ?? null })
  await run.driver.pipe(document('acme/a'), document('acme/b'), document('acme-two/a'), document('other/a'))
  await write(run, 'keys/k1', { apiKey: apiKey('acme') })
  await write(run, 'keys/k2', { apiKey: apiKey('other') })

  const receipt = await erase({ tenant: 'acme' }, await worldOf(run), { timeoutMs: 10_000 })
  const said = new Map((await run.driver.records(control)).map(({ key, value }) => [key, value as Control]))
  erased.set('acme', said.get('tenants/acme')!.tenant!.erasedAt!)
  await run.driver.pipe(document('acme/c'), document('other/b'), { key: 'acme/d', bytes: Buffer.from('no Avro') })

  assert.deepEqual([receipt.complete, receipt.documents, receipt.of], [true, 2, ['tenants/acme']])
  assert.deepEqual([...new Set(run.index.served().map(({ key }) => key))].sort(), ['acme-two/a', 'other/a', 'other/b'])
  assert.deepEqual(
    [said.get('keys/k1')!.apiKey!.revokedAt !== null, said.get('keys/k1')!.apiKey!.name],
    [true, 'erased'],
  )
  assert.deepEqual([said.get('keys/k2')!.apiKey!.revokedAt, said.get('keys/k2')!.apiKey!.name], [null, 'Jane of other'])
  assert.equal(
    (await run.driver.records(documents)).some(({ key }) => key === 'acme/c'),
    false,
  )
})

test('a space without a worker, and a collection that nobody follows, are emptied by the erasure itself', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'))
  const other = { ...run.driver.scope, space: 'es_old' }
  await run.driver.broker.admin.createTopics([spec(vectors, nameIn(other, vectors))])
  const producer = await run.driver.broker.producer()
  const copied = run.driver.broker.records(nameIn(run.driver.scope, vectors)).filter(({ value }) => value !== null)
  await producer.send(
    copied.map(({ key, value, partition }) => ({
      topic: nameIn(other, vectors),
      partition,
      key: key!.toString(),
      value,
    })),
  )
  const left = memoryIndex({ collection: 'old', space: 'es_old' })
  left.restore(run.index.copy())

  const world = { ...(await worldOf(run, [left])), spaces: [run.driver.scope.space, 'es_old'] }
  const receipt = await erase({ keys: ['acme/a'] }, world, { timeoutMs: 3_000 })
  const again = await erase({ keys: ['acme/a'] }, world, { timeoutMs: 3_000 })

  const values = new Map(run.driver.broker.records(nameIn(other, vectors)).map((each) => [each.key!.toString(), each]))
  const deletion = values.get('acme/a')!
  assert.deepEqual([receipt.complete, again], [true, receipt])
  assert.deepEqual([deletion.value, values.get('acme/b')!.value === null], [null, false])
  assert.match(deletion.headers.position!.toString(), new RegExp(`^${partitionOf('acme/a', PARTITIONS)}:\\d+:\\d+$`))
  assert.deepEqual([...new Set(left.served().map(({ key }) => key))], ['acme/b'])
})

test('when no log names the key any more, the same erasure removes the entry that holds it, and not before', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'))
  const { broker, scope } = run.driver
  await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  const early = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })
  const kept = run.index.present.has('acme/a')
  for (const each of [documents, vectors, indexed]) broker.compact(nameIn(scope, each), 'drop')
  for (const each of [inbox, redo])
    for (const [partition, offset] of broker.ends(nameIn(scope, each)).entries())
      broker.truncate({ topic: nameIn(scope, each), partition, offset })
  const late = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  assert.deepEqual([kept, early.againAfter! > run.driver.now()], [true, true])
  assert.deepEqual([run.index.present.has('acme/a'), run.index.present.has('acme/b')], [false, true])
  assert.deepEqual([late.complete, late.againAfter], [true, null])
  assert.ok(late.places.every(({ state }) => state === 'empty' || state === 'outside'))
})

test('in a partition where nothing was written for long, running it again writes the deletion once more', async () => {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'))
  const first = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })
  const written = () => run.driver.broker.records('documents').length
  const before = written()
  await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })
  const soon = written()

  await run.driver.advance(first.nudgeAfter! - run.driver.now())
  const again = await erase({ keys: ['acme/a'] }, await worldOf(run), { timeoutMs: 10_000 })

  assert.deepEqual([soon - before, written() - before, again.complete], [0, 1, true])
})

test('a key that can be no document’s is refused before anything is done', async () => {
  await using run = await opened()

  const erasing = erase({ keys: ['acme'] }, await worldOf(run), { timeoutMs: 1_000 })

  await assert.rejects(erasing, /key: has no slash/)
  assert.deepEqual(await run.driver.values(actions), [])
})

async function opened(options: Parameters<typeof memoryPipeline>[0] = {}): Promise<MemoryPipeline> {
  const run = await memoryPipeline({ partitions: PARTITIONS, ...options })
  await run.driver.broker.admin.createTopics([spec(actions, actions.name)])
  await run.driver.serde.register([actions])
  return run
}

const spec = ({ partitions, config }: Topic, name: string) => ({
  name,
  partitions: partitions === 'shared' ? PARTITIONS : partitions,
  replicationFactor: 1,
  config,
})

async function worldOf({ driver, index }: MemoryPipeline, left: readonly MemoryIndex[] = []): Promise<EraseWorld> {
  const producer = await driver.broker.producer()
  const { broker, serde, scope } = driver
  return {
    broker,
    serde,
    scope,
    partitions: PARTITIONS,
    epoch: 1,
    spaces: [scope.space],
    sources: [inbox],
    indexes: [{ ...index.contents, followed: true }, ...left.map(({ contents }) => ({ ...contents, followed: false }))],
    clock: { now: driver.now, wait: (ms) => driver.advance(ms) },
    by: 'jane@example',
    send: (records) => producer.send(records),
  }
}

/** Dies when it would write once more than that; then the same erasure, twice. */
async function killedAfter(writesMax: number) {
  await using run = await opened()
  await run.driver.pipe(document('acme/a'), document('acme/b'), { key: 'acme/a', bytes: Buffer.from('no Avro') })
  const world = await worldOf(run)
  let writes = 0
  const send: EraseWorld['send'] = async (records) => {
    if (writes >= writesMax) throw new Error('killed')
    writes++
    return world.send(records)
  }
  const killed = await erase({ keys: ['acme/a'] }, { ...world, send }, { timeoutMs: 10_000 }).catch(() => null)
  const receipt = killed ?? (await erase({ keys: ['acme/a'] }, world, { timeoutMs: 10_000 }))
  const again = await erase({ keys: ['acme/a'] }, world, { timeoutMs: 10_000 })
  return { writes, receipt, again, served: [...new Set(run.index.served().map(({ key }) => key))] }
}

/** Without the times, which are those of the run. */
const essence = ({ places, of, complete, open }: ErasureReceipt) => ({
  of,
  complete,
  open,
  places: places.map(({ place: name, state, contents, done }) => [name, state, contents, done]),
})

function place(receipt: ErasureReceipt, name: string): PlaceReceipt {
  return receipt.places.find((each) => each.place === name)!
}

async function latest(run: MemoryPipeline, of: Topic, key: string): Promise<unknown> {
  const records = (await run.driver.records(of)).filter((each) => each.key === key)
  assert.ok(records.length > 0, `${of.name} has no record of ${key}`)
  return records.at(-1)!.value
}

async function write(run: MemoryPipeline, key: string, value: Partial<Control>): Promise<void> {
  await run.driver.pipe({ topic: control, key, value, partition: 0 })
}

const document = (key: string, text = `The text of ${key}.`) => ({
  key,
  value: { text, title: null, contentType: null, url: null, language: null, attributes: {} },
})

const apiKey = (tenant: string) => ({
  sha256: '00',
  name: `Jane of ${tenant}`,
  tenant,
  scopes: ['search'],
  groups: ['*'],
  createdAt: 0,
  by: 'jane@example',
  expiresAt: null,
  revokedAt: null,
  requestsPerSecond: null,
  embeddedTokensPerMinute: null,
  generatedTokensPerMinute: null,
})
