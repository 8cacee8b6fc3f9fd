import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Progress, Receipt } from '../schemas/records.ts'
import { indexed, progress, vectors } from '../schemas/topics.ts'
import { Changes } from '../streams/changes.ts'
import { noLow } from '../streams/low.ts'
import { type TestDriver, testTopology } from '../streams/test-driver.ts'
import { stage } from '../streams/topology.ts'
import { random as randomOf } from '../test/random.ts'
import type { Role } from './collections.ts'
import { indexVectors } from './index-vectors.ts'
import { type MemoryIndex, memoryIndex } from './memory-index.ts'
import { type Standing, standingIn } from './standing.ts'
import { PENDING_MAX, type Pending, pendingWith } from './standing-elsewhere.ts'

/** Two collections, `old` and `new`, in one process, as `control` says: the test says what it says. */
interface Two extends AsyncDisposable {
  readonly driver: TestDriver
  readonly old: MemoryIndex
  readonly new: MemoryIndex
  /** From now on; and lets tasks notice. */
  decide(serving: 'old' | 'new', behind?: { readonly old?: 'new'; readonly new?: 'old' }): Promise<void>
  /** Publishes deletions of that many documents, which need no vectors. */
  write(records: number): Promise<void>
  /** Lets what is published be seen, until nothing more follows. */
  settle(): Promise<void>
  applied(collection: 'old' | 'new'): Promise<number>
  /** What it has published last. */
  said(collection: 'old' | 'new'): Promise<Progress | undefined>
  /** It applies nothing; null: all do. */
  stall(collection: 'old' | 'new' | null): void
}

/** `spaces` 2: each is of a space of its own, so that they have only positions in common. Both read one log here, in which positions are in disorder. */
async function twoCollections({ spaces = 1 }: { spaces?: 1 | 2 } = {}): Promise<Two> {
  const changes = new Changes()
  const published = new Map<string, Progress>()
  let serving = 'old'
  let gates: { readonly old?: 'new'; readonly new?: 'old' } = {}
  let written = 0
  let stalled: string | null = null
  let begun: TestDriver | null = null
  const load = async (): Promise<void> => {
    for (const { key, value } of (await begun?.records(progress)) ?? []) published.set(key, value as Progress)
  }
  const standing = (collection: 'old' | 'new'): Standing =>
    standingIn({
      collection,
      role: (): Role => ({
        collection,
        serving: collection === serving,
        behind: gates[collection] ?? null,
        filling: stalled === collection,
      }),
      sync: load,
      progress: () => [...published.values()].filter((each) => spaces === 1 || each.collection === collection),
      elsewhere: () => [...published.values()].filter((each) => spaces === 2 && each.collection !== collection),
      sharesLog: (other) => spaces === 1 || other === collection,
      end: async () => ({ epoch: 1, low: written - 1 }),
      isTalkedOver: () => false,
      changed: (signal) => changes.next(signal),
      async pace(_, signal) {
        while (stalled === collection && !signal.aborted) await changes.next(signal)
      },
    })
  const indexes = { old: memoryIndex({ collection: 'old' }), new: memoryIndex({ collection: 'new' }) }
  const portsOf = (collection: 'old' | 'new') => ({
    index: indexes[collection],
    now: () => 0,
    markers: new Map(),
    compare: async () => noLow,
    standing: standing(collection),
  })
  const driver = await testTopology([stage(indexVectors, portsOf('old')), stage(indexVectors, portsOf('new'), 'new')])
  begun = driver
  const settle = async (): Promise<void> => {
    for (let round = 0; round < 4; round++) {
      await load()
      changes.tell()
      // Longer than a task takes to notice without traffic, and to begin again.
      await driver.advance(3_000)
    }
  }
  return {
    driver,
    ...indexes,
    async decide(now, behind = {}) {
      serving = now
      gates = behind
      await settle()
    },
    async write(records) {
      const first = written
      const deletions = Array.from({ length: records }, (_, i) => {
        // Pairs of neighbours change places, as documents overtake each other; of one key the order is kept.
        const at = first + (i % 2 === 0 ? Math.min(i + 1, records - 1) : i - 1)
        const low = i % 2 === 0 && i + 1 < records ? first + i - 1 : first + i
        written++
        return { key: `acme/${at % 7}`, value: null, headers: { position: `0:${at}:0`, low: String(low) } }
      })
      await driver.pipe(...deletions)
    },
    async said(collection) {
      await load()
      return published.get(`${collection}/0`)
    },
    stall(collection) {
      stalled = collection
      changes.tell()
    },
    settle,
    async applied(collection) {
      await load()
      return published.get(`${collection}/0`)?.applied ?? -1
    },
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
    },
  }
}

const receiptsIn = async ({ driver }: Two): Promise<Receipt[]> => (await driver.values(indexed)) as Receipt[]

/** Offsets of `vectors` without a receipt. */
async function withoutReceipt(two: Two): Promise<number[]> {
  const answered = new Set((await receiptsIn(two)).map(({ vectorsOffset }) => vectorsOffset))
  return (await two.driver.offsets(vectors)).map(({ offset }) => offset).filter((offset) => !answered.has(offset))
}

test('only the collection that serves writes receipts and dead letters; the other counts what it rejects', async () => {
  await using two = await twoCollections()

  await two.write(5)
  await two.driver.pipe({ key: 'acme/x', value: null }, { key: 'acme/y', bytes: Buffer.from('poison') })
  await two.settle()

  assert.deepEqual(new Set((await receiptsIn(two)).map(({ collection }) => collection)), new Set(['old']))
  assert.equal((await two.driver.rejected()).length, 2)
  const last = (await two.driver.values(progress)).findLast((value) => (value as Progress).collection === 'new')
  assert.equal(await two.applied('new'), 6)
  assert.equal((last as Progress).rejected, 2)
})

test('the collection that serves from now on begins where the receipts of the one before end', async () => {
  await using two = await twoCollections()
  await two.write(5)

  await two.decide('new')
  await two.write(5)
  await two.settle()

  const receipts = await receiptsIn(two)
  const of = (collection: string) =>
    receipts.filter((each) => each.collection === collection).map(({ vectorsOffset }) => vectorsOffset)
  assert.deepEqual(of('old'), [0, 1, 2, 3, 4])
  assert.deepEqual(of('new'), [5, 6, 7, 8, 9])
})

test('receipts that the one before did not come to write are written by the one that serves next', async () => {
  await using two = await twoCollections()
  await two.write(3)
  // It stands behind what is nowhere, as if its worker were gone, while the other goes on.
  await two.decide('old', { old: 'new' })
  two.new.restore({ chunks: [], manifests: [], markers: [] })
  await two.settle()
  await two.write(4)

  await two.decide('new')
  await two.settle()

  assert.deepEqual(await withoutReceipt(two), [])
})

test('a dead letter that was not written before the switch is written after it', async () => {
  await using two = await twoCollections()
  await two.decide('old', { old: 'new', new: 'old' })
  await two.driver.pipe({ key: 'acme/x', value: null })
  assert.deepEqual(await two.driver.rejected(), [])

  await two.decide('new')
  await two.settle()

  assert.equal((await two.driver.rejected()).length, 1)
})

test('a collection that stays behind another never applies what that one has not', async () => {
  await using two = await twoCollections()
  await two.decide('old', { old: 'new', new: 'old' })

  // Each behind the other: neither moves.
  await two.write(4)
  await two.settle()
  assert.deepEqual([await two.applied('old'), await two.applied('new')], [-1, -1])
  await two.decide('old', { old: 'new' })
  await two.settle()

  assert.deepEqual([await two.applied('old'), await two.applied('new')], [3, 3])
  const order = (await two.driver.values(progress))
    .map((value) => value as Progress)
    .filter(({ applied }) => applied === 3)
  assert.equal(order[0]!.collection, 'new')
  assert.equal(order.find(({ collection }) => collection === 'old')!.behind, 'new')
})

test('a collection that stays behind one of another space applies no position before that one has', async () => {
  await using two = await twoCollections({ spaces: 2 })
  await two.write(6)
  two.stall('new')
  await two.write(5)
  const ahead = await two.applied('old')

  await two.decide('old', { old: 'new' })
  await two.write(5)
  await two.settle()
  const gated = await two.said('old')
  two.stall(null)
  await two.settle()

  // It shows more than the other did when it was put behind it, and does not say that it is until that is over.
  assert.deepEqual([ahead, gated!.applied, gated!.behind], [10, 10, null])
  assert.deepEqual([await two.applied('new'), await two.applied('old')], [15, 15])
  assert.equal((await two.said('old'))!.behind, 'new')
})

test('a collection that serves after one of another space begins where the receipts of that one end', async () => {
  await using two = await twoCollections({ spaces: 2 })
  await two.write(8)
  await two.settle()
  assert.equal((await two.said('new'))!.receipts, 7)

  await two.decide('new')
  await two.write(4)
  await two.settle()

  const receipts = await receiptsIn(two)
  const of = (collection: string) =>
    receipts.filter((each) => each.collection === collection).map(({ vectorsOffset }) => vectorsOffset)
  assert.deepEqual(of('old'), [0, 1, 2, 3, 4, 5, 6, 7])
  assert.deepEqual(of('new'), [8, 9, 10, 11])
})

test('receipts that are not written yet are not taken for written, also when the one that owes them has gone further', async () => {
  await using two = await twoCollections({ spaces: 2 })
  await two.write(4)
  two.stall('old')
  await two.write(4)
  await two.settle()

  // The one that follows has them all, and no one has their receipts.
  assert.deepEqual([await two.applied('new'), (await two.said('new'))!.receipts], [7, 3])
  await two.decide('new')
  two.stall(null)
  await two.settle()

  assert.deepEqual(await withoutReceipt(two), [])
})

test('one that has gone over and still owes receipts is not believed to have written them', async () => {
  await using two = await twoCollections({ spaces: 2 })
  await two.write(4)
  two.stall('old')
  await two.write(4)
  two.stall('new')
  await two.decide('new')

  await two.settle()
  await two.decide('old')
  two.stall(null)
  await two.settle()

  assert.deepEqual(await withoutReceipt(two), [])
})

test('what a collection of another space has not told yet is told in few pieces, however much it is', () => {
  let pending: Pending[] = []
  for (let offset = 0; offset < 5_000; offset++)
    pending = pendingWith(pending, { through: offset, upTo: { epoch: 1, offset: offset ^ 1 } })

  assert.ok(pending.length <= PENDING_MAX)
  assert.deepEqual(pending.at(-1), { through: 4_999, upTo: { epoch: 1, offset: 4_999 } })
  for (const { through, upTo } of pending) assert.ok(upTo.offset >= through, `${through} up to ${upTo.offset}`)
})

test('a collection that does not serve bears the revision that came last, also where the content is the same', async () => {
  await using two = await twoCollections()
  const document = (offset: number) => ({
    key: 'acme/a',
    value: { ...same, offset },
    headers: { position: `0:${offset}:0` },
  })

  await two.driver.pipe(document(1))
  await two.driver.pipe(document(2))

  const contents = await Promise.all([two.old, two.new].map((index) => index.manifests(['acme/a'])))
  assert.deepEqual(
    contents.map(([manifest]) => [manifest!.fence.offset, manifest!.content!.offset]),
    [
      [2, 1],
      [2, 2],
    ],
  )
})

const same = {
  space: 'es_test',
  epoch: 1,
  derivation: 0,
  title: null,
  url: null,
  language: null,
  attributes: {},
  acl: null,
  pipeline: 'c1+d1',
  contentHash: 'same',
  chunks: [
    {
      start: 0,
      end: 4,
      text: 'same',
      hash: 'h',
      vector: Buffer.alloc(8),
      termIndices: Buffer.alloc(4),
      termValues: Buffer.alloc(4),
    },
  ],
}

for (let seed = 1; seed <= 20; seed++) {
  test(`whenever it is switched and whatever restarts, every record has a receipt (seed ${seed})`, async () => {
    const random = randomOf(seed)
    await using two = await twoCollections()

    for (let step = 0; step < 15; step++) {
      const what = random()
      const to = random() < 0.5 ? 'old' : 'new'
      if (what < 0.5) await two.write(1 + Math.floor(random() * 5))
      else if (what < 0.6) await two.driver.restart()
      else if (what < 0.8) await two.decide(to)
      else await two.decide(to, to === 'old' ? { new: 'old' } : { old: 'new' })
    }
    for (let i = 0; i < 3; i++) await two.settle()

    assert.equal(two.driver.failure, null)
    assert.deepEqual(await withoutReceipt(two), [])
    const end = (await two.driver.offsets(vectors)).length - 1
    assert.deepEqual([await two.applied('old'), await two.applied('new')], [end, end])
  })
}

for (let seed = 1; seed <= 30; seed++) {
  test(`whenever it is switched between spaces, every record has a receipt, and nobody who goes over sees a document go back (seed ${seed})`, async () => {
    const random = randomOf(seed)
    await using two = await twoCollections({ spaces: 2 })

    for (let step = 0; step < 20; step++) {
      const what = random()
      const to = random() < 0.5 ? 'old' : 'new'
      if (what < 0.45) await two.write(1 + Math.floor(random() * 6))
      else if (what < 0.55) await two.driver.restart()
      else if (what < 0.6) await two.driver.crash()
      else if (what < 0.7) two.stall(random() < 0.6 ? to : null)
      else if (what < 0.8) await two.decide(to)
      else await two.decide(to, to === 'old' ? { old: 'new' } : { new: 'old' })
      await showsNothingMore(two)
    }
    two.stall(null)
    for (let i = 0; i < 3; i++) await two.settle()

    assert.equal(two.driver.failure, null)
    assert.deepEqual(await withoutReceipt(two), [])
    const end = (await two.driver.offsets(vectors)).length - 1
    assert.deepEqual([await two.applied('old'), await two.applied('new')], [end, end])
  })
}

/** Of the one that says that it is behind the other. */
async function showsNothingMore(two: Two): Promise<void> {
  for (const [from, to] of [
    ['old', 'new'],
    ['new', 'old'],
  ] as const) {
    if ((await two.said(from))?.behind !== to) continue
    const keys = Array.from({ length: 7 }, (_, i) => `acme/${i}`)
    const [shown, other] = await Promise.all([two[from], two[to]].map((index) => index.manifests(keys)))
    for (const [i, key] of keys.entries()) {
      const [own, ahead] = [shown![i]?.fence.offset ?? -1, other![i]?.fence.offset ?? -1]
      assert.ok(own <= ahead, `${from} shows ${key} at ${own}, and ${to} at ${ahead}`)
    }
  }
}
