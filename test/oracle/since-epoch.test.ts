import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sinceEpoch } from './since-epoch.ts'
import type { World } from './world.ts'

test('what readers saw of a former epoch is not judged by the offsets of this one, and all that they saw of this one is', () => {
  const hit = (key: string, epoch: number) => ({ key, epoch, offset: 5, ordinal: 0, text: key })
  const answer = { reader: 'r', tenant: 'acme', atMs: 9, lows: null, deleted: [] }
  const hits = [hit('acme/former', 1), hit('acme/new', 2)]
  const empty = { sent: [], receipts: [], progress: [], deadLetters: [], points: [] }
  const answers = [
    { ...answer, atMs: 3, hits, whole: [] },
    { ...answer, hits, whole: ['acme/former', 'acme/new'] },
  ]
  const world = { ...empty, answers } as unknown as World

  const since = sinceEpoch(world, { epoch: 2, sent: 0, atMs: 5, topicIds: new Set() })

  assert.deepEqual(since.answers, [{ ...answer, hits: [hit('acme/new', 2)], whole: ['acme/new'] }])
})
