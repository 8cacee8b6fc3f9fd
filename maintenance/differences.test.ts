import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Manifest } from '../processors/vector-index.ts'
import { differencesOf } from './differences.ts'

const manifest = (key: string, offset: number, { epoch = 1, deleted = false, derivation = 0 } = {}): Manifest => ({
  key,
  partition: 0,
  fence: { epoch, offset, derivation },
  content: deleted ? null : { epoch, offset, derivation },
  deleted,
  rejected: null,
  chunks: deleted ? 0 : 1,
  contentHash: '',
  pipeline: '',
  space: '',
  checksum: null,
  left: [],
})

const compared = (
  latest: Record<string, { offset: number; deleted?: boolean }>,
  manifests: readonly Manifest[],
  { epoch = 1, low = 99, end = 100 } = {},
) =>
  differencesOf(
    new Map(Object.entries(latest).map(([key, { offset, deleted = false }]) => [key, { offset, deleted }])),
    new Map(manifests.map((each) => [each.key, each])),
    { epoch, low, end },
  ).map(({ key, revision, live }) => `${key} ${live ? 'at' : 'gone at'} ${revision.epoch}:${revision.offset}`)

test('what the index has as documents has it is no difference', () => {
  const found = compared({ a: { offset: 3 }, b: { offset: 4, deleted: true } }, [
    manifest('a', 3, { derivation: 2 }),
    manifest('b', 4, { deleted: true }),
  ])

  assert.deepEqual(found, [])
})

test('what documents does not have is an orphan, also of another epoch, unless it is deleted already', () => {
  const found = compared({}, [manifest('a', 3), manifest('b', 7, { epoch: 0 }), manifest('c', 5, { deleted: true })])

  assert.deepEqual(found, ['a gone at 1:3', 'b gone at 0:7'])
})

test('what is missing, older, or deleted and still served, is to be made as documents says', () => {
  const found = compared({ a: { offset: 3 }, b: { offset: 4 }, c: { offset: 5, deleted: true } }, [
    manifest('b', 2),
    manifest('c', 1),
  ])

  assert.deepEqual(found, ['a at 1:3', 'b at 1:4', 'c gone at 1:5'])
})

test('what lies behind the watermark is still under way, and what came after the reading is not judged', () => {
  const found = compared({ a: { offset: 50 } }, [manifest('b', 100)], { low: 49, end: 100 })

  assert.deepEqual(found, [])
})

test('a document of an old epoch is older than any of the present one', () => {
  const found = compared({ a: { offset: 0 } }, [manifest('a', 900)], { epoch: 2 })

  assert.deepEqual(found, ['a at 2:0'])
})
