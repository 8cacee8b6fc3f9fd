import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DocumentVectors } from '../schemas/records.ts'
import { judge, planKey, type Revision } from './index-plan.ts'
import type { Manifest } from './vector-index.ts'

const fence = (offset: number, derivation = 0) => ({ epoch: 1, offset, derivation })
const vectors = (offset: number, contentHash: string, chunks = 2, derivation = 0) =>
  ({
    ...fence(offset, derivation),
    contentHash,
    pipeline: 'p1',
    space: 'es_test',
    title: null,
    url: null,
    attributes: {},
    acl: null,
    chunks: Array.from({ length: chunks }, (_, i) => ({
      start: i,
      end: i + 1,
      text: 't',
      hash: contentHash,
      vector: Buffer.of(i),
      termIndices: Buffer.of(),
      termValues: Buffer.of(),
    })),
  }) as unknown as DocumentVectors
const put = (offset: number, contentHash: string, chunks = 2, derivation = 0): Revision => ({
  key: 'acme/a',
  partition: 0,
  fence: fence(offset, derivation),
  vectors: vectors(offset, contentHash, chunks, derivation),
  rejected: null,
})
const gone = (offset: number, rejected: string | null = null): Revision => ({
  key: 'acme/a',
  partition: 0,
  fence: fence(offset),
  vectors: null,
  rejected,
})
const manifest = (offset: number, more: Partial<Manifest> = {}): Manifest => ({
  key: 'acme/a',
  partition: 0,
  fence: fence(offset),
  content: fence(offset),
  deleted: false,
  rejected: null,
  chunks: 2,
  contentHash: 'old',
  pipeline: 'p1',
  space: 'es_test',
  checksum: 7,
  left: [],
  ...more,
})

test('a new document writes its chunks and a manifest where none was', () => {
  const plan = planKey([put(5, 'new')], null)

  assert.equal(plan.write?.expected, null)
  assert.deepEqual(plan.write?.manifest.content, fence(5))
  assert.notEqual(plan.write?.chunks, null)
  assert.deepEqual(plan.outcomes, ['indexed'])
  assert.deepEqual(plan.left, [])
})

test('changed content replaces the chunks, and the former ones are left over', () => {
  const plan = planKey([put(7, 'new')], manifest(5, { chunks: 9 }))

  assert.deepEqual(plan.write?.expected, fence(5))
  assert.deepEqual(plan.left, [{ key: 'acme/a', fence: fence(5), count: 9 }])
})

test('the same content moves only the fence', () => {
  const plan = planKey([put(7, 'old')], manifest(5))

  assert.equal(plan.write?.chunks, null)
  assert.deepEqual([plan.write?.manifest.fence, plan.write?.manifest.content], [fence(7), fence(5)])
  assert.deepEqual(plan.left, [])
  assert.deepEqual(plan.outcomes, ['unchanged'])
})

test('the same content under another pipeline is written again', () => {
  const plan = planKey([put(7, 'old')], manifest(5, { pipeline: 'p0' }))

  assert.deepEqual(plan.outcomes, ['indexed'])
})

test('a derivation above 0 is written whole, even if the content is the same', () => {
  const plan = planKey([put(5, 'old', 2, 1)], manifest(5))

  assert.notEqual(plan.write?.chunks, null)
  assert.deepEqual(plan.left, [{ key: 'acme/a', fence: fence(5), count: 2 }])
})

test('an older revision writes nothing and is superseded', () => {
  const plan = planKey([put(3, 'older')], manifest(5))

  assert.equal(plan.write, null)
  assert.deepEqual(plan.outcomes, ['superseded'])
})

test('a late old revision after a deletion does not bring the document back', () => {
  const plan = planKey([put(3, 'older')], manifest(5, { deleted: true, content: null, chunks: 0 }))

  assert.equal(plan.write, null)
  assert.equal(plan.present.deleted, true)
})

test('a revision delivered again gets the receipt that it had', () => {
  const indexed = planKey([put(5, 'old')], manifest(5))
  const deleted = planKey([gone(5)], manifest(5, { deleted: true, content: null }))
  const rejected = planKey([gone(5, 'no text')], manifest(5, { deleted: true, content: null, rejected: 'no text' }))

  assert.deepEqual([indexed.outcomes, deleted.outcomes, rejected.outcomes], [['indexed'], ['deleted'], ['rejected']])
  assert.deepEqual([indexed.write, deleted.write, rejected.write], [null, null, null])
})

test('a revision that changed nothing gets the same receipt when it is delivered again', () => {
  const first = planKey([put(7, 'old')], manifest(5))

  const again = planKey([put(7, 'old')], first.present)

  assert.deepEqual([first.outcomes, again.outcomes], [['unchanged'], ['unchanged']])
})

test('what a revision left over is deleted again when its record is delivered again, as it may not have been before', () => {
  const { present } = planKey([put(7, 'new', 1)], manifest(5, { chunks: 9 }))

  const again = planKey([put(7, 'new', 1)], present)
  const withNewer = planKey([put(7, 'new', 1), put(8, 'newer')], present)
  const onlyNewer = planKey([put(8, 'newer')], present)

  const nine = { key: 'acme/a', fence: fence(5), count: 9 }
  const one = { key: 'acme/a', fence: fence(7), count: 1 }
  assert.deepEqual(again.left, [nine])
  assert.deepEqual(withNewer.left, [nine, one])
  assert.deepEqual(onlyNewer.left, [one])
})

test('of several revisions in a batch only the newest is written, wherever it stands', () => {
  const plan = planKey([put(9, 'newest'), put(7, 'older'), gone(8)], manifest(5))

  assert.deepEqual(plan.write?.manifest.fence, fence(9))
  assert.deepEqual(plan.outcomes, ['indexed', 'superseded', 'superseded'])
})

test('a deletion leaves a manifest, so that nothing older comes back', () => {
  const plan = planKey([gone(9)], manifest(5, { chunks: 4 }))

  assert.equal(plan.write?.manifest.deleted, true)
  assert.deepEqual(plan.left, [{ key: 'acme/a', fence: fence(5), count: 4 }])
  assert.deepEqual(planKey([gone(9)], null).write?.expected, null)
})

test('what is read back tells whether the write took, was overtaken, or is to be planned again', () => {
  const { write } = planKey([put(7, 'new')], manifest(5))

  assert.equal(judge(write!, manifest(7)), 'written')
  assert.equal(judge(write!, manifest(8)), 'overtaken')
  assert.equal(judge(write!, manifest(6)), 'again')
  assert.equal(judge(write!, null), 'again')
})

test('a manifest has the checksum of its chunks as they were written, also when only its fence moves', () => {
  const written = planKey([put(7, 'new')], null).present
  const other = planKey([put(7, 'other')], null).present
  const moved = planKey([put(8, 'new')], written).present

  assert.ok(written.checksum! > 0)
  assert.notEqual(other.checksum, written.checksum)
  assert.equal(moved.checksum, written.checksum)
  assert.deepEqual(moved.content, fence(7))
})

test('what was made before manifests had a checksum is written whole', () => {
  const plan = planKey([put(7, 'old')], manifest(5, { space: '', checksum: null }))

  assert.deepEqual(plan.outcomes, ['indexed'])
  assert.deepEqual(plan.present.content, fence(7))
})
