import assert from 'node:assert/strict'
import { test } from 'node:test'
import { decodeNote, encodeNote } from './commit-note.ts'
import { deletionsKeptMs, startAt, tombstonesMayBeLost } from './start.ts'

const log = { start: 10, end: 20 }
const DAY_MS = 86_400_000

test('a place that the log holds is where a stage goes on', () => {
  for (const offset of [10, 15, 20])
    assert.deepEqual(startAt({ offset, at: 5 }, log, 'repeatable'), { offset, at: 5, hold: null, lost: null })
  assert.equal(startAt(null, log, 'compared').offset, 10)
})

test('what left the log before it was handled is lost to a stage that cannot compare, and is counted', () => {
  for (const kind of ['repeatable', 'transactional'] as const) {
    const { offset, lost, hold } = startAt({ offset: 4, at: 5 }, log, kind)

    assert.deepEqual([offset, lost?.offsets, hold], [10, 6, null])
    assert.match(lost!.reason, /^4 is not in the log any more, which begins at 10: 6 offsets/)
  }
})

test('a stage that can compare holds its watermark where the log does not hold its place', () => {
  const gone = startAt({ offset: 4, at: 5 }, log, 'compared')
  const cut = startAt({ offset: 30, at: 5 }, log, 'compared')
  const marker = startAt({ offset: 4, at: 5, gone: 'marker-behind-log' }, log, 'compared')

  assert.deepEqual(
    [gone, cut, marker].map(({ offset, at, hold, lost }) => [offset, at, hold?.state, lost]),
    [
      [10, 0, 'offset-out-of-range', null],
      [10, 0, 'offset-out-of-range', null],
      [10, 0, 'marker-behind-log', null],
    ],
  )
})

test('after the log was cut a transactional stage hands on nothing again, and others begin anew', () => {
  assert.equal(startAt({ offset: 30, at: 5 }, log, 'transactional').offset, 20)
  assert.equal(startAt({ offset: 30, at: 5 }, log, 'repeatable').offset, 10)
})

test('deletions are kept for as long as the topic itself says', () => {
  const config = { 'cleanup.policy': 'compact', 'min.compaction.lag.ms': '1000', 'delete.retention.ms': '5000' }

  assert.equal(deletionsKeptMs(config), 6_000)
  assert.equal(deletionsKeptMs({ 'cleanup.policy': 'compact' }), DAY_MS)
  assert.equal(deletionsKeptMs({ 'cleanup.policy': 'delete' }), null)
})

test('a deletion may be lost behind a place that is older than that, unless the next record is younger', () => {
  const at = (days: number) => 100 * DAY_MS - days * DAY_MS
  const lost = (age: number | null, first: number | null) =>
    tombstonesMayBeLost({
      at: age === null ? 0 : at(age),
      firstAt: first === null ? null : at(first),
      keptMs: 8 * DAY_MS,
      now: at(0),
    })

  assert.deepEqual([lost(7, null), lost(9, null), lost(null, null)], [false, true, true])
  assert.deepEqual([lost(9, 7), lost(null, 7), lost(9, 9)], [false, false, true])
})

test('what was noted with a commit is read back, and what others wrote is nothing', () => {
  const note = { topicId: 'id', at: 5, held: 'offset-out-of-range', starts: 2, by: 'me', until: 9, record: 7 } as const
  const plain = { topicId: 'id', at: 5, held: null, starts: 0, by: '', until: -1, record: -1 }

  assert.deepEqual(decodeNote(encodeNote(note)), note)
  assert.deepEqual(decodeNote(encodeNote(plain)), plain)
  for (const foreign of ['', 'null', '7', 'a note of someone else', '{"at":"x"}'])
    assert.equal(decodeNote(foreign), null)
})
