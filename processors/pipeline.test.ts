import assert from 'node:assert/strict'
import { test } from 'node:test'
import { indexed, progress, vectors } from '../schemas/topics.ts'
import { describeTopology, faultsOf } from '../streams/topology.ts'
import { memoryPipeline } from './memory-pipeline.ts'
import { pipeline } from './pipeline.ts'

const raw = (text: string, more: object = {}) => ({
  text,
  contentType: null,
  title: null,
  url: null,
  language: null,
  attributes: {},
  ...more,
})
/** As its producer has written it past the door. */
const document = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, cleaning: 'c1' })
const long = (sentences: number, word: string) =>
  Array.from(
    { length: sentences },
    (_, i) => `The ${word} number ${i} stands here for itself and says nothing else.`,
  ).join(' ')

test('the topology is sound, and says itself in words', () => {
  const faults = faultsOf(pipeline)

  const lines = describeTopology(pipeline, { prefix: '', space: 'es_1' })

  assert.deepEqual(faults, [])
  assert.equal(lines[1], 'documents, redo → embed-documents → vectors.es_1 (group freshet.embed-documents.es_1)')
})

test('documents that are put, changed and deleted end up in the index as their latest records say', async () => {
  await using run = await memoryPipeline()

  await run.driver.pipe({ key: 'acme/a', value: raw('first text') }, { key: 'acme/b', value: raw(long(60, 'heron')) })
  await run.driver.pipe(
    { key: 'acme/a', value: raw('second text') },
    { key: 'acme/c', value: raw('third') },
    { key: 'acme/c', value: null },
  )

  assert.deepEqual(await run.differences(), [])
  const served = run.index.served()
  assert.ok(served.some(({ key, text }) => key === 'acme/a' && text === 'second text'))
  assert.ok(served.every(({ key }) => key !== 'acme/c'))
})

test('a document that shrinks leaves no orphan, not even one that is not served', async () => {
  await using run = await memoryPipeline()

  await run.driver.pipe({ key: 'acme/a', value: raw(long(200, 'otter')) })
  const before = run.index.chunks.size
  await run.driver.pipe({ key: 'acme/a', value: raw('short now') })

  assert.ok(before > 3)
  assert.equal(run.index.chunks.size, 1)
  assert.deepEqual(await run.differences(), [])
})

test('two versions that arrive together are never mixed, and each gets a receipt', async () => {
  await using run = await memoryPipeline({ partitions: 1 })

  await run.driver.pipe({ key: 'acme/a', value: raw(long(80, 'old')) }, { key: 'acme/a', value: raw(long(40, 'new')) })

  assert.ok(run.index.served().every(({ text }) => text.includes('new')))
  const outcomes = (await run.driver.values(indexed)).map((receipt) => receipt?.outcome)
  assert.equal(outcomes.length, 2)
  assert.equal(outcomes.at(-1), 'indexed')
})

test('the whole topic delivered again embeds nothing and changes nothing that is served', async () => {
  await using run = await memoryPipeline()
  await run.driver.pipe(
    ...Array.from({ length: 30 }, (_, i) => ({ key: `acme/${i}`, value: raw(`document ${i} of thirty`) })),
  )
  const before = run.index.served()
  const { embedded } = run.counts

  await run.driver.redeliver()

  assert.equal(run.counts.embedded, embedded)
  assert.deepEqual(run.index.served(), before)
})

test('the same documents produced again are not embedded again', async () => {
  await using run = await memoryPipeline()
  const all = Array.from({ length: 20 }, (_, i) => ({ key: `acme/${i}`, value: raw(`document ${i} of twenty`) }))
  await run.driver.pipe(...all)
  const { embedded } = run.counts

  await run.driver.pipe(...all)

  assert.equal(run.counts.embedded, embedded)
  assert.equal(run.counts.fromIndex, 20)
  assert.equal((await run.driver.values(indexed)).filter((receipt) => receipt?.outcome === 'unchanged').length, 20)
  assert.deepEqual(await run.differences(), [])
})

test('a change of groups alone is a new content that embeds nothing', async () => {
  await using run = await memoryPipeline()
  await run.driver.pipe({ key: 'acme/a', value: raw(long(60, 'heron')) })
  const { embedded } = run.counts

  const outcomes = []
  for (const acl of [['hr', 'board'], ['board', 'hr', 'hr'], null]) {
    await run.driver.pipe({ key: 'acme/a', value: raw(long(60, 'heron'), { acl }) })
    outcomes.push([(await run.driver.values(indexed)).at(-1)!.outcome, run.index.served()[0]!.acl])
  }

  assert.ok(embedded > 1)
  assert.equal(run.counts.embedded, embedded)
  assert.deepEqual(outcomes, [
    ['indexed', ['board', 'hr']],
    ['unchanged', ['board', 'hr']],
    ['indexed', null],
  ])
  assert.deepEqual(await run.differences(), [])
})

test('a document for everyone has the content that it had before there were groups', async () => {
  await using run = await memoryPipeline()

  await run.driver.pipe({ key: 'acme/a', value: raw('The same text.', { title: 'Same', attributes: { n: 1 } }) })

  const { contentHash, checksum } = run.index.present.get('acme/a')!
  assert.deepEqual(
    [contentHash, checksum],
    ['bb7b684d77e9a22e46f87758923db67ad5b266e82c05c13acbc339e1b709d765', 3_717_145_531],
  )
})

test('a document that names nobody is rejected, whoever wrote it, since an index would show it to everybody', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 1 })
  await run.driver.pipe({ key: 'acme/a', value: document('fine') })

  await run.driver.pipe({ key: 'acme/a', value: { ...document('not fine'), acl: [] } })

  assert.deepEqual(await run.driver.rejected(), [
    { key: 'acme/a', reason: 'acl: is empty; name at least one group, or leave it out' },
  ])
  assert.deepEqual(run.index.served(), [])
})

test('a revision that is rejected is a deletion downstream, with one dead letter and a receipt that says why', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 1 })
  await run.driver.pipe({ key: 'acme/a', value: document('fine') })

  await run.driver.pipe(
    { key: 'acme/a', bytes: Buffer.from('not avro') },
    { key: 'acme/b', value: document('the next') },
  )

  assert.deepEqual(
    run.index.served().map(({ key }) => key),
    ['acme/b'],
  )
  assert.equal((await run.driver.rejected()).length, 1)
  const receipts = await run.driver.records(indexed)
  const rejected = receipts
    .map(({ value }) => value as { outcome: string; reason: string })
    .filter(({ outcome }) => outcome === 'rejected')
  assert.equal(rejected.length, 1)
  assert.match(rejected[0]!.reason, /is not Avro/)
})

test('a record in the wrong partition is one dead letter that names the partitioner, and changes nothing', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 3 })
  await run.driver.pipe({ key: 'acme/a', value: document('right') })
  const right = (await run.driver.records(vectors))[0]!.partition

  await run.driver.pipe({ key: 'acme/a', value: document('wrong'), partition: (right + 1) % 3 })

  const letters = await run.driver.rejected()
  assert.equal(letters.length, 1)
  assert.match(letters[0]!.reason, /murmur2/)
  assert.deepEqual(
    run.index.served().map(({ text }) => text),
    ['right'],
  )
})

test('an index restored from an older copy is noticed and caught up, without traffic', async () => {
  await using run = await memoryPipeline()
  await run.driver.pipe({ key: 'acme/a', value: raw('early') })
  const copy = run.index.copy()
  await run.driver.pipe({ key: 'acme/a', value: raw('late') }, { key: 'acme/b', value: raw('later') })

  run.index.restore(copy)
  await run.driver.advance(2_000)
  await run.driver.advance(1_000)

  assert.deepEqual(await run.differences(), [])
  assert.equal(run.index.served().length, 2)
})

test('the watermark reaches the end of documents, and progress says so', async () => {
  await using run = await memoryPipeline({ partitions: 1 })

  await run.driver.pipe({ key: 'acme/a', value: raw('one') }, { key: 'acme/b', value: raw('two') })

  const last = (await run.driver.values(progress)).at(-1)
  const [log] = await run.driver.broker.admin.offsets('documents')
  assert.equal(last?.low, log!.end - 1)
})

test('after a restart nothing is missing, stale or left over', async () => {
  await using run = await memoryPipeline()
  await run.driver.pipe({ key: 'acme/a', value: raw(long(30, 'crane')) })

  await run.driver.restart()
  await run.driver.pipe({ key: 'acme/a', value: raw('after the restart') }, { key: 'acme/b', value: raw('new') })

  assert.deepEqual(await run.differences(), [])
  assert.equal(run.driver.failure, null)
})

test('a document of nothing but marks, written past the door, is rejected and erased', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 1 })

  await run.driver.pipe({ key: 'acme/a', value: document('words') }, { key: 'acme/a', value: document('… — !!!') })

  assert.deepEqual(run.index.served(), [])
  assert.match((await run.driver.rejected())[0]!.reason, /no letters or digits/)
})

for (const ratio of [Number.NaN, Number.POSITIVE_INFINITY]) {
  test(`an attribute that is ${ratio}, written past the door, is a dead letter and deletes its document`, async () => {
    await using run = await memoryPipeline({ from: 'documents' })
    await run.driver.pipe({ key: 'acme/a', value: document('It was good.') })

    await run.driver.pipe({ key: 'acme/a', value: { ...document('And is not now.'), attributes: { ratio } } })

    assert.deepEqual(run.index.served(), [])
    const rejected = await run.driver.rejected()
    assert.equal(rejected.length, 1)
    assert.match(rejected[0]!.reason, /^attributes\.ratio: (NaN|Infinity) is not a finite number/)
  })
}

test('what nobody can read, under a key that no document can have, is a dead letter and nothing else', async () => {
  await using run = await memoryPipeline({ from: 'documents' })

  await run.driver.pipe({ key: 'no tenant', bytes: Buffer.from('not Avro') })

  assert.match((await run.driver.rejected())[0]!.reason, /^key: has no slash/)
  assert.deepEqual(await run.driver.values(vectors), [])
  assert.deepEqual(await run.driver.values(indexed), [])
})
