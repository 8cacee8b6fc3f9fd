import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { HitChange, SearchHit } from '../../client/client.ts'
import { visibleIn } from './view.ts'
import { changesInWords, countOf, duration, freshnessOf } from './words.ts'

const asOf = { token: 't', staleMs: 0, ingestStaleMs: 0, complete: true }
const hit = (documentId: string, ordinal = 0): SearchHit =>
  ({ documentId, hitId: `${documentId}#${ordinal}` }) as SearchHit
const enter = (documentId: string, ordinal?: number): HitChange<SearchHit> => ({
  op: 'enter',
  rank: 1,
  hit: hit(documentId, ordinal),
})

test('an answer is up to date only if its age is known, and nothing is missing', () => {
  assert.deepEqual(freshnessOf(asOf), { isFresh: true, text: 'up to date' })
  assert.deepEqual(freshnessOf({ ...asOf, complete: false }), { isFresh: false, text: 'age not known yet' })
  assert.deepEqual(freshnessOf({ ...asOf, staleMs: 340 }), { isFresh: false, text: '340 ms behind' })
  assert.deepEqual(freshnessOf({ ...asOf, ingestStaleMs: 90_000 }), { isFresh: false, text: 'sources 2 min behind' })
  assert.deepEqual(freshnessOf(null), { isFresh: false, text: 'nothing heard yet' })
})

test('changes are said by their documents, each once, and a few of them', () => {
  const changes: HitChange<SearchHit>[] = [
    enter('a'),
    enter('a', 1),
    enter('b'),
    enter('c'),
    { op: 'leave', hitId: 'd#2#0' },
    { op: 'move', hitId: 'e#0', rank: 3, score: 1 },
  ]

  assert.equal(changesInWords(changes), 'a, b and 1 more entered; d#2 left')
  assert.equal(changesInWords(changes.slice(-1)), 'e moved')
  assert.equal(changesInWords([]), '')
})

test('a hit has moved if it stands elsewhere, not if only its score is another', () => {
  const before = [hit('a'), hit('b')]
  const rescored: HitChange<SearchHit> = { op: 'move', hitId: 'a#0', rank: 1, score: 0.5 }
  const moved: HitChange<SearchHit> = { op: 'move', hitId: 'b#0', rank: 1, score: 0.5 }

  assert.deepEqual(visibleIn([rescored, moved, enter('c')], before), [moved, enter('c')])
})

test('numbers are said as people say them', () => {
  assert.deepEqual([countOf(0, 'hit'), countOf(1, 'hit'), countOf(12, 'hit')], ['No hits', '1 hit', '12 hits'])
  assert.deepEqual([duration(12.4), duration(1_250), duration(150_000)], ['12 ms', '1.3 s', '3 min'])
})
