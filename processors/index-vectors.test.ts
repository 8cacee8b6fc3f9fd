import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DocumentVectors } from '../schemas/records.ts'
import { vectors } from '../schemas/topics.ts'
import { NotOwner, Retry, StartOver } from '../streams/errors.ts'
import { noLow } from '../streams/low.ts'
import type { Batch, Input } from '../streams/processor.ts'
import { type IndexPorts, indexVectors } from './index-vectors.ts'
import { memoryIndex } from './memory-index.ts'
import type { Marker, VectorIndex } from './vector-index.ts'

test('an index that is replaced by an older copy in the midst of a batch is noticed by its next read', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  await indexVectors.process(batchOf(record('acme/a', 0, 0)), ports)
  const older = index.copy()
  await indexVectors.process(batchOf(record('acme/a', 1, 1)), ports)

  const restored = { ...ports, index: { ...index, apply: async () => index.restore(older) } }
  const outcome = indexVectors.process(batchOf(record('acme/a', 2, 2)), restored)

  await assert.rejects(outcome, StartOver)
  assert.equal(index.markers.get(0)?.applied, 0)
})

test('what an earlier round of a batch wrote, and the index has no more, is written again', async () => {
  const index = memoryIndex()
  const empty = index.copy()
  let reads = 0
  // The first reading back says that nothing of the batch is there; by then something was, and it is gone.
  const forgetful: VectorIndex = {
    ...index,
    async read(keys, partition) {
      if (++reads === 2) {
        const read = await index.read(keys, partition)
        index.restore(empty)
        return { ...read, manifests: read.manifests.map((manifest, i) => (i === 0 ? manifest : null)) }
      }
      return index.read(keys, partition)
    },
  }

  await indexVectors.process(batchOf(record('acme/a', 0, 0), record('acme/b', 1, 1)), portsOf(forgetful))

  assert.deepEqual([...index.present.keys()].sort(), ['acme/a', 'acme/b'])
  assert.equal(index.served().length, 2)
})

test('an index that is replaced between two rounds of a batch is noticed, although nothing is left to be written', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  const dying = portsOf({ ...index, settle: () => Promise.reject(new Retry('it died')) })
  await indexVectors.process(batchOf(record('acme/a', 0, 0)), ports)
  await assert.rejects(indexVectors.process(batchOf(record('acme/c', 2, 2)), dying), Retry)
  const older = index.copy()
  await indexVectors.process(batchOf(record('acme/a', 0, 0)), ports)
  let reads = 0
  // The first reading back says that c is not there; when it is read again it is, in a copy that has never had b.
  const replaced: VectorIndex = {
    ...index,
    async read(keys, partition) {
      if (++reads === 3) index.restore(older)
      const read = await index.read(keys, partition)
      return reads === 2
        ? { ...read, manifests: read.manifests.map((manifest, i) => (i === 0 ? manifest : null)) }
        : read
    },
  }

  const outcome = indexVectors.process(batchOf(record('acme/b', 1, 1), record('acme/c', 2, 2)), portsOf(replaced))

  await assert.rejects(outcome, StartOver)
})

test('a marker is not written over one that another owner has written meanwhile, and is not told as written', async () => {
  const index = memoryIndex()
  const others: Marker = { partition: 0, topicId: 't', applied: 7, epoch: 1, low: -1, at: 9, written: 9 }
  let reads = 0
  const overtaken: VectorIndex = {
    ...index,
    async read(keys, partition) {
      const read = await index.read(keys, partition)
      if (++reads === 2) await index.settle([], others, null, read.connection)
      return read
    },
  }

  const ports = portsOf(overtaken)
  const outcome = indexVectors.process(batchOf(record('acme/a', 0, 0)), ports)

  await assert.rejects(outcome, StartOver)
  assert.deepEqual(index.markers.get(0), others)
  assert.equal(ports.markers.get(0), undefined)
})

test('a marker is not written over one that is like the one that was read, and was written since to an older copy', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  await indexVectors.process(batchOf(record('acme/a', 0, 0)), ports)
  const copy = index.copy()
  await indexVectors.process(batchOf(record('acme/b', 1, 1)), ports)
  const slept: VectorIndex = {
    ...index,
    async settle(...written) {
      index.restore(copy)
      await indexVectors.process(batchOf(record('acme/b', 1, 1)), { ...portsOf(index), now: () => 9 })
      await index.settle(...written)
    },
  }

  const outcome = indexVectors.process(batchOf(record('acme/c', 2, 2)), portsOf(slept))

  await assert.rejects(outcome, StartOver)
  assert.equal(index.markers.get(0)?.applied, 1)
})

test('a batch whose connection is made anew in the midst writes nothing more: the index may be another copy', async () => {
  const index = memoryIndex()
  let connection = 0
  const settled: unknown[] = []
  const replaced: VectorIndex = {
    ...index,
    read: async (keys, partition) => ({ ...(await index.read(keys, partition)), connection }),
    async apply(writes) {
      await index.apply(writes, 0)
      connection++
    },
    settle: async (...asked) => void settled.push(asked),
  }

  const outcome = indexVectors.process(batchOf(record('acme/a', 0, 0)), portsOf(replaced))

  await assert.rejects(outcome, StartOver)
  assert.deepEqual(settled, [])
})

test('a task that was given away does not say which marker its partition has', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  const given = new AbortController()
  const later: Marker = { partition: 0, topicId: 't', applied: 7, epoch: 1, low: -1, at: 0, written: 1 }
  const slow: VectorIndex = {
    ...index,
    async settle(left, marker, expected, connection) {
      await index.settle(left, marker, expected, connection)
      given.abort()
      // Its successor in the same process.
      ports.markers.set(0, later)
    },
  }

  await indexVectors.process({ ...batchOf(record('acme/a', 0, 0)), signal: given.signal }, { ...ports, index: slow })

  assert.deepEqual(ports.markers.get(0), later)
})

test('a start that was overtaken does not say which marker its partition has', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  const at = { topicId: 't', partition: 0, committed: null, committedAt: 0, start: 0, end: 9 }
  ports.markers.set(0, { partition: 0, topicId: 't', applied: 7, epoch: 1, low: -1, at: 0, written: 1 })

  const outcome = indexVectors.start!({ ...at, stillOurs: () => false }, ports)

  await assert.rejects(Promise.resolve(outcome), NotOwner)
  assert.equal(ports.markers.get(0)?.applied, 7)
})

test('chunks that a revision is found to share with an older one are kept, although the batch had counted them as left', async () => {
  const index = memoryIndex()
  const ports = portsOf(index)
  await indexVectors.process(batchOf(record('acme/a', 0, 0, 'first')), ports)
  // Another owner, by records of its own batches, comes to the same revision while this one writes.
  const zombie = portsOf({
    ...index,
    async apply(writes, connection) {
      await indexVectors.process(batchOf(record('acme/a', 1, 1, 'second')), ports)
      await indexVectors.process(batchOf(record('acme/a', 2, 2, 'second')), ports)
      await index.apply(writes, connection)
    },
  })
  const both = batchOf(record('acme/a', 1, 1, 'second'), record('acme/a', 2, 2, 'second'))

  await indexVectors.process(both, zombie)

  assert.deepEqual(index.present.get('acme/a')?.content, { epoch: 1, offset: 1, derivation: 0 })
  assert.deepEqual(
    index.served().map(({ text }) => text),
    ['second'],
  )
})

function portsOf(index: VectorIndex): IndexPorts {
  return { index, now: () => 0, markers: new Map(), compare: async () => noLow }
}

function batchOf(...records: Input[]): Batch {
  const through = records.at(-1)!.at.offset
  return {
    partition: 0,
    topicId: 't',
    records,
    through,
    epoch: 1,
    lowEpoch: 1,
    low: -1,
    asOf: 0,
    signal: new AbortController().signal,
  }
}

function record(key: string, at: number, offset: number, text: string | null = `text ${offset}`): Input {
  const vector = Buffer.alloc(8)
  const chunk = {
    start: 0,
    end: 1,
    text: text ?? '',
    hash: '',
    vector,
    termIndices: Buffer.of(),
    termValues: Buffer.of(),
  }
  const value: DocumentVectors = {
    space: 'es_test',
    epoch: 1,
    offset,
    derivation: 0,
    title: null,
    url: null,
    language: null,
    attributes: {},
    acl: null,
    pipeline: 'p',
    contentHash: text ?? '',
    chunks: [chunk],
  }
  return {
    topic: vectors,
    at: { topic: 'vectors', partition: 0, offset: at },
    key,
    value: text === null ? null : value,
    bytes: 1,
    timestamp: 0,
    headers: { position: `0:${offset}:0` },
  }
}
