import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../engine/hash-engine.ts'
import { memoryIndex } from '../processors/memory-index.ts'
import { type MemoryPipeline, memoryPipeline } from '../processors/memory-pipeline.ts'
import type { Progress } from '../schemas/records.ts'
import { documents, indexed, progress, redo, vectors } from '../schemas/topics.ts'
import { type VirtualClock, virtualClock } from '../streams/clock.ts'
import { nameIn } from '../streams/topic.ts'
import { comparePartition } from './compare-partition.ts'

const DAY_MS = 86_400_000
const document = (text: string) => ({ title: null, text, url: null, language: null, attributes: {}, cleaning: 'c1' })
const put = (key: string, text: string) => ({ key, value: document(text) })
const gone = (key: string) => ({ key, value: null })

interface Run extends MemoryPipeline {
  readonly compared: number[]
  readonly names: () => string[]
  /** Comparisons wait for this. */
  hold(): () => void
  /** Removes what compaction removes, deletions too. */
  compact(...topics: (typeof documents | typeof vectors)[]): void
  passes(ms: number): Promise<void>
}

async function pipeline(): Promise<Run> {
  const index = memoryIndex({ space: hashEngine().space.id })
  const clock: VirtualClock = virtualClock()
  const compared: number[] = []
  let gate = Promise.resolve()
  const run = await memoryPipeline({
    from: 'documents',
    partitions: 1,
    index,
    clock,
    async compare(at, { broker, serde, scope }) {
      await gate
      const ports = { broker, serde, scope, partitions: 1, contents: index.contents, epoch: () => 1, clock }
      return comparePartition({ ...ports, found: (_partition, differences) => compared.push(differences) })(at)
    },
  })
  return Object.assign(run, {
    compared,
    names: () => run.driver.states.present().map(({ name, subject }) => `${name} of ${subject.split(' ')[0]}`),
    hold() {
      const held = Promise.withResolvers<void>()
      gate = held.promise
      return held.resolve
    },
    compact(...topics: (typeof documents | typeof vectors)[]) {
      for (const topic of topics) run.driver.broker.compact(nameIn(run.driver.scope, topic), 'drop')
    },
    async passes(ms: number) {
      for (let left = ms; left > 0; left -= 500) await run.driver.advance(500)
    },
  })
}

/** `progress` as it was told last. */
async function told({ driver }: MemoryPipeline): Promise<Pick<Progress, 'low' | 'state'>> {
  const { low, state } = (await driver.values(progress)).at(-1)!
  return { low, state }
}

test('a deletion that was compacted away while the stages were down is found, and the document is not served any more', async () => {
  await using run = await pipeline()
  const { driver } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  await driver.stop()
  await driver.pipe(gone('acme/a'), put('acme/c', 'third'))
  await driver.advance(9 * DAY_MS)
  run.compact(documents)

  const release = run.hold()
  await driver.start()
  const during = { states: run.names(), told: await told(run), differences: await run.differences() }
  release()
  await run.passes(5_000)

  assert.deepEqual(during.states, ['tombstones-may-be-lost of embed-documents'])
  assert.deepEqual(during.told, { low: 1, state: 'tombstones-may-be-lost' }, 'the watermark stays where it was')
  assert.deepEqual(during.differences, ['orphan acme/a#0'])
  assert.deepEqual(run.compared, [1])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
  assert.deepEqual(await told(run), { low: 3, state: 'following' })
  assert.equal(driver.failure, null)
})

test('a crash in the middle comes back to the same state', async () => {
  await using run = await pipeline()
  const { driver } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  await driver.stop()
  await driver.pipe(gone('acme/a'), put('acme/c', 'third'))
  await driver.advance(9 * DAY_MS)
  run.compact(documents)
  const release = run.hold()
  await driver.start()

  await driver.pipe(put('acme/d', 'fourth'))
  await driver.crash()
  await driver.restart()
  const after = { states: run.names(), told: await told(run) }
  release()
  await run.passes(5_000)

  assert.deepEqual(after.states, ['tombstones-may-be-lost of embed-documents'])
  assert.equal(after.told.low, 1)
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
  assert.equal((await told(run)).low, 4)
})

test('an index that was restored from a copy older than deletions are kept says so, and is compared', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  const copy = index.copy()
  await driver.pipe(gone('acme/a'))
  await driver.advance(9 * DAY_MS)
  await driver.pipe(put('acme/c', 'third'))
  run.compact(documents, vectors)

  const release = run.hold()
  index.restore(copy)
  await run.passes(3_000)
  await driver.crash()
  const during = { states: run.names(), told: await told(run), differences: await run.differences() }
  release()
  await run.passes(5_000)

  assert.deepEqual(during.states, ['tombstones-may-be-lost of index-vectors'])
  assert.deepEqual(during.told, { low: 1, state: 'tombstones-may-be-lost' })
  assert.deepEqual(during.differences, ['orphan acme/a#0'])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
  assert.deepEqual(await told(run), { low: 3, state: 'following' })
})

test('what was cut from the log of documents before it was handled is found by comparing', async () => {
  await using run = await pipeline()
  const { driver } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  await driver.stop()
  await driver.pipe(gone('acme/a'), put('acme/b', 'second, changed'))
  driver.broker.truncate({ topic: nameIn(driver.scope, documents), partition: 0, offset: 3 })

  const release = run.hold()
  await driver.start()
  const during = run.names()
  await driver.crash()
  const afterACrash = run.names()
  release()
  await run.passes(5_000)

  assert.deepEqual([...during, ...afterACrash], Array(2).fill('offset-out-of-range of embed-documents'))
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
})

test('a marker that lies before the start of the log leads to a comparison, and what is missing is derived again', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(put('acme/a', 'first'))
  const copy = index.copy()
  await driver.pipe(put('acme/b', 'second'), gone('acme/a'))
  await driver.pipe(put('acme/c', 'third'))
  await driver.stop()
  const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
  driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end - 1 })
  index.restore(copy)

  const release = run.hold()
  await driver.start()
  const during = { states: run.names(), differences: await run.differences() }
  release()
  await run.passes(5_000)

  assert.deepEqual(during.states, ['marker-behind-log of index-vectors'])
  assert.ok(during.differences.length > 1, String(during.differences))
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
})

/** What waits in `vectors` to be indexed is cut away while no stage runs; the watermark is 0, and documents go up to 1. */
async function cut({ driver, index }: Run): Promise<void> {
  await driver.pipe(put('acme/a', 'first'))
  const { apply } = index
  index.apply = () => new Promise(() => {})
  await driver.pipe(put('acme/b', 'second'))
  await driver.stop()
  index.apply = apply
  const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
  driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })
}

test('the watermark goes on after a comparison, also when a batch was under way as it ended', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await cut(run)
  const { apply, settle } = index
  const marking = Promise.withResolvers<void>()
  let healing = false
  index.apply = (...written) => {
    healing = true
    return apply(...written)
  }
  index.settle = async (...settled) => {
    if (healing) await marking.promise
    return settle(...settled)
  }

  await driver.start()
  await run.passes(5_000)
  const during = { differences: await run.differences(), names: run.names(), told: await told(run) }
  marking.resolve()
  await run.passes(5_000)

  assert.deepEqual(during, { differences: [], names: [], told: { low: 0, state: 'offset-out-of-range' } })
  assert.deepEqual(await told(run), { low: 1, state: 'following' })
  assert.equal(driver.failure, null)
})

test('a watermark that was cut from the log with what it was about is known again once the partition is compared', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(put('acme/a', 'first'))
  const copy = index.copy()
  await driver.pipe(put('acme/b', 'second'), gone('acme/a'))
  const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
  driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })

  // The embed stage has said its watermark, and has no reason to say it again.
  index.restore(copy)
  await run.passes(5_000)

  assert.deepEqual(run.compared, [2])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(await told(run), { low: 2, state: 'following' })
})

test('a revision that was cut from the log is derived again while the next one is on its way, for which the watermark waits', async () => {
  await using run = await pipeline()
  const { driver, index, engine } = run
  await driver.pipe(put('acme/a', 'first'))
  const copy = index.copy()
  await driver.pipe(put('acme/a', 'second'))
  const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
  driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })
  const { embed } = engine
  const embedding = Promise.withResolvers<void>()
  Object.assign(engine, {
    async embed(texts: readonly string[], options: Parameters<typeof embed>[1]) {
      if (texts.includes('third')) await embedding.promise
      return embed(texts, options)
    },
  })
  await driver.pipe(put('acme/a', 'third'))

  index.restore(copy)
  await run.passes(5_000)
  const during = { texts: index.served().map(({ text }) => text), told: await told(run) }
  embedding.resolve()
  await run.passes(5_000)

  assert.deepEqual(during, { texts: ['second'], told: { low: 0, state: 'marker-behind-log' } })
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(await told(run), { low: 2, state: 'following' })
})

test('vectors that were deleted and created again are noticed at work, and what the index did not have yet is derived again', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  const { apply } = index
  // The index stage hangs, so that something is lost with the topic.
  index.apply = () => new Promise(() => {})
  await driver.pipe(put('acme/c', 'third'), gone('acme/b'))
  await driver.advance(1_000)
  const name = nameIn(driver.scope, vectors)
  await driver.broker.admin.deleteTopics([name])
  await driver.broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config: vectors.config }])

  const release = run.hold()
  index.apply = apply
  await driver.recheck()
  await run.passes(2_000)
  const during = { states: run.names(), differences: await run.differences() }
  release()
  await run.passes(10_000)

  assert.deepEqual(during.states, ['source-recreated of index-vectors'])
  assert.deepEqual(during.differences, ['missing acme/c#0', 'orphan acme/b#0'])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
  assert.equal(driver.failure, null)
})

test('what is healed after vectors was created again is waited for, whatever the index says of the topic before', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(...Array.from({ length: 20 }, (_, i) => put(`acme/${i}`, 'soon applied')))
  const { apply, settle } = index
  index.apply = () => new Promise(() => {})
  await driver.pipe(put('acme/0', 'changed'))
  await driver.advance(1_000)
  const name = nameIn(driver.scope, vectors)
  await driver.broker.admin.deleteTopics([name])
  await driver.broker.admin.createTopics([{ name, partitions: 1, replicationFactor: 1, config: vectors.config }])

  const settling = Promise.withResolvers<void>()
  index.apply = apply
  index.settle = async (...settled) => {
    await settling.promise
    return settle(...settled)
  }
  await driver.recheck()
  await run.passes(5_000)
  const during = run.names()
  settling.resolve()
  await run.passes(5_000)

  assert.deepEqual(during, ['source-recreated of index-vectors'])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(run.names(), [])
  assert.equal((await told(run)).low, 20)
})

test('a deletion that was cut from the log is on record in the index, also of what was not there', async () => {
  await using run = await pipeline()
  const { driver, index } = run
  await driver.pipe(put('acme/a', 'first'), gone('acme/a'))
  const { apply } = index
  index.apply = () => new Promise(() => {})
  await driver.pipe(gone('acme/a'), gone('acme/b'))
  await driver.stop()
  index.apply = apply
  const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
  driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })

  await driver.start()
  await run.passes(5_000)

  // What comes late of an older revision is then known to be older.
  const { manifests } = await index.read(['acme/a', 'acme/b'], 0)
  assert.deepEqual(
    manifests.map((manifest) => manifest && [manifest.fence.offset, manifest.deleted]),
    [
      [2, true],
      [3, true],
    ],
  )
  const receipts = (await driver.values(indexed)).map((receipt) => [receipt!.offset, receipt!.outcome])
  assert.deepEqual(receipts.slice(-2), [
    [2, 'deleted'],
    [3, 'deleted'],
  ])
})

for (const [what, record] of Object.entries({
  'has no text': put('acme/a', '---'),
  'nobody can read': { key: 'acme/a', bytes: Buffer.from('not avro') },
})) {
  test(`a revision that ${what}, and whose deletion was cut from the log, takes away the one before it`, async () => {
    await using run = await pipeline()
    const { driver, index } = run
    await driver.pipe(put('acme/a', 'first'))
    const { apply } = index
    index.apply = () => new Promise(() => {})
    await driver.pipe(record)
    await driver.stop()
    index.apply = apply
    const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
    driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })

    await driver.start()
    await run.passes(5_000)

    assert.deepEqual(index.served(), [])
    const { offset, outcome, reason } = (await driver.values(indexed)).at(-1)!
    assert.deepEqual([offset, outcome], [1, 'rejected'])
    assert.equal(reason, (await driver.rejected()).at(-1)!.reason)
    assert.deepEqual(run.names(), [])
  })
}

test('a stage that was away for a while, and a new one on a young log, compare nothing', async () => {
  await using run = await pipeline()
  const { driver } = run
  await driver.pipe(put('acme/a', 'first'), put('acme/b', 'second'))
  await driver.stop()
  await driver.pipe(gone('acme/a'))
  await driver.advance(7 * DAY_MS)

  await driver.start()
  await run.passes(3_000)
  await driver.advance(30 * DAY_MS)
  // Idle for longer than deletions are kept, and then something new: nothing was missed.
  await driver.stop()
  await driver.pipe(put('acme/c', 'third'))
  await driver.start()
  await run.passes(3_000)

  assert.deepEqual(run.compared, [])
  assert.deepEqual(run.names(), [])
  assert.deepEqual(await run.differences(), [])
  assert.deepEqual(await driver.records(redo), [])
})

for (const behind of ['a commit that takes long', 'an earlier record that is under way for long'] as const) {
  test(`what was handed on, and cut before it was put on record behind ${behind}, is derived again before the watermark passes it`, async () => {
    await using run = await pipeline()
    const { driver, index, engine } = run
    await driver.pipe(put('acme/a', 'first'))
    await run.passes(1_000)
    const copy = index.copy()
    const over = Promise.withResolvers<void>()
    const { embed } = engine
    Object.assign(engine, {
      async embed(texts: readonly string[], options: Parameters<typeof embed>[1]) {
        if (texts.includes('large')) await over.promise
        return embed(texts, options)
      },
    })
    if (behind === 'a commit that takes long')
      driver.broker.faults.beforeOffsetCommit = async (group, commits) => {
        if (group.includes('embed') && commits.some(({ offset }) => offset > 1)) await over.promise
      }
    else await driver.pipe(put('acme/large', 'large'))
    await driver.pipe(put('acme/b', 'second'))
    const { end } = (await driver.broker.admin.offsets(nameIn(driver.scope, vectors)))[0]!
    driver.broker.truncate({ topic: nameIn(driver.scope, vectors), partition: 0, offset: end })

    index.restore(copy)
    await run.passes(10_000)
    const during = await told(run)
    over.resolve()
    await run.passes(5_000)

    const last = driver.broker.records(documents.name).at(-1)!.offset
    assert.deepEqual(during, { low: 0, state: 'marker-behind-log' })
    assert.deepEqual(await run.differences(), [])
    assert.deepEqual(await told(run), { low: last, state: 'following' })
  })
}
