import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control } from '../schemas/records.ts'
import type { StoredRecord } from '../streams/broker.ts'
import { type DeadLetter, REPLAY_OF } from '../streams/dead-letters.ts'
import {
  type Entry,
  entryOf,
  fold,
  grouped,
  isWished,
  type Known,
  type LatestRecord,
  letterOf,
  stateOf,
  supersededBy,
} from './dead-letters.ts'
import { decisionKey, withoutErased } from './letter-decisions.ts'
import { decideReplay, inWords } from './replay-decision.ts'

const refused: DeadLetter = {
  stage: 'embed-documents',
  class: 'schema',
  reason: 'value: schema id 42 is not in the registry',
  topic: 'documents',
  topicId: 'T1',
  partition: 1,
  offset: 7,
  timestamp: 1_000,
  key: Buffer.from('acme/a'),
  value: Buffer.from('x'),
  headers: {},
}
const inInbox: Partial<DeadLetter> = { stage: 'ingest-documents', topic: 'inbox', topicId: 'S1' }
const MINUTE_MS = 60_000

/** The entries of these letters, one a minute. */
function entriesOf(...letters: Partial<DeadLetter>[]): Map<string, Entry> {
  const entries = new Map<string, Entry>()
  for (const [i, letter] of letters.entries()) {
    const whole = { ...refused, ...letter }
    const at = { offset: i, timestamp: (i + 1) * MINUTE_MS } as StoredRecord
    fold(entries, letterOf(whole, at, whole.topic === 'documents' ? whole.offset : null))
  }
  return entries
}
const entryOfOne = (letter: Partial<DeadLetter> = {}): Entry => [...entriesOf(letter).values()][0]!
const record = (more: Partial<LatestRecord> = {}): LatestRecord => ({
  partition: 1,
  offset: 7,
  timestamp: 1_000,
  deletes: false,
  source: null,
  replayOf: null,
  ...more,
})
const manifestAt = (offset: number, rejected: string | null = null): Known['manifest'] => ({
  key: 'acme/a',
  fence: { epoch: 1, offset, derivation: 2 },
  content: rejected === null ? { epoch: 1, offset, derivation: 2 } : null,
  deleted: rejected !== null,
  rejected,
  chunks: rejected === null ? 1 : 0,
  contentHash: '',
  pipeline: '',
  left: [],
  partition: 1,
  space: 'es_test',
  checksum: 0,
})
const source = { topicId: 'S1', newer: null }

test('a repetition after a crash and a replay that fails again are the same entry, counted', () => {
  const { id } = entryOfOne()

  const entries = entriesOf(
    {},
    {},
    { topic: 'redo', topicId: 'T2', offset: 0, headers: { [REPLAY_OF]: Buffer.from(id) } },
  )

  assert.deepEqual([...entries.keys()], [id])
  const { count, origin, latest } = entries.get(id)!
  assert.deepEqual([count, origin.topic, latest.topic], [3, 'documents', 'redo'])
  assert.deepEqual([origin.refusedAt, latest.refusedAt], [MINUTE_MS, 3 * MINUTE_MS])
})

test('records that differ in stage, topic, partition or offset are entries of their own, and so is one with a header that is no id', () => {
  const entries = entriesOf(
    {},
    { stage: 'index-vectors' },
    { topicId: 'T9' },
    { partition: 2 },
    { offset: 8 },
    { offset: 9, headers: { [REPLAY_OF]: Buffer.from('whatever') } },
  )

  assert.equal(entries.size, 6)
})

test('a decision holds until a letter comes after it; a discarded entry stays discarded', () => {
  const [entry] = entriesOf({}, {}).values()
  const decided = { at: 0, by: 'me@here', why: 'because' }

  const states = [
    stateOf(entry!, null, undefined),
    stateOf(entry!, { ...decided, state: 'replayed', through: 2 }, undefined),
    stateOf(entry!, { ...decided, state: 'replayed', through: 1 }, undefined),
    stateOf(entry!, { ...decided, state: 'discarded', through: 1 }, undefined),
  ]

  assert.deepEqual(
    states.map(({ state }) => state),
    ['open', 'replayed', 'open', 'discarded'],
  )
})

test('a rejected revision is superseded by a newer one that is indexed, and by its own that was indexed since', () => {
  const entry = entryOfOne()

  assert.equal(supersededBy(entry, { manifest: manifestAt(7, 'no'), latest: record() }), null)
  assert.match(supersededBy(entry, { manifest: manifestAt(9), latest: record({ offset: 9 }) })!, /1\/9 is newer/)
  assert.equal(supersededBy(entry, { manifest: manifestAt(9, 'no'), latest: record({ offset: 9 }) }), null)
  assert.match(supersededBy(entry, { manifest: manifestAt(7), latest: record() })!, /indexed since/)
  assert.match(supersededBy(entry, { manifest: null, latest: null })!, /was deleted/)
})

test('a source record is superseded by a document of a later record of its source, or one that was written after the refusal', () => {
  const entry = entryOfOne(inInbox)
  const of = (latest: Partial<LatestRecord>) => supersededBy(entry, { manifest: null, latest: record(latest) })
  const from = (offset: number) => ({ topicId: 'S1', partition: 1, offset })

  assert.equal(of({ source: from(6), timestamp: 9 * MINUTE_MS }), null)
  assert.match(of({ source: from(8), timestamp: 0 })!, /later record of the source/)
  assert.match(of({ source: from(7) })!, /the same record/)
  assert.equal(of({ timestamp: MINUTE_MS - 1 }), null)
  assert.match(of({ timestamp: MINUTE_MS })!, /written later/)
  assert.match(of({ source: { ...from(1), partition: 0 }, timestamp: 2 * MINUTE_MS })!, /written later/)
  assert.match(of({ replayOf: entry.id, timestamp: 0 })!, /a replay of it/)
  assert.equal(supersededBy(entry, { manifest: null, latest: null }), null)
})

test('a replay derives the key’s current record above what the index has, whichever revision was rejected', () => {
  const known = { manifest: manifestAt(9, 'no'), latest: record({ offset: 9 }) }

  const decision = decideReplay(entryOfOne(), known, source)

  const present = { epoch: 1, offset: 9, derivation: 2 }
  assert.deepEqual(decision, { do: 'redo', key: 'acme/a', partition: 1, offset: 9, present })
})

test('a source record is sent again to its own partition, unless a later one of its key is there', () => {
  const [entry, known] = [entryOfOne(inInbox), { manifest: null, latest: null }]

  assert.deepEqual(decideReplay(entry, known, source), { do: 'send', topic: 'inbox', partition: 1 })
  assert.match(
    inWords(decideReplay(entry, known, { ...source, newer: 12 })),
    /superseded, inbox 1\/12 is a later record/,
  )
  assert.match(inWords(decideReplay(entry, known, { ...source, topicId: null })), /topic inbox is gone/)
})

test('what no replay can help says what has to be done instead', () => {
  const nothing = { manifest: null, latest: null }

  assert.match(inWords(decideReplay(entryOfOne({ class: 'key' }), undefined, source)), /under a key tenant\/id/)
  assert.match(inWords(decideReplay(entryOfOne({ class: 'partition' }), nothing, source)), /murmur2_random/)
  assert.match(inWords(decideReplay(entryOfOne({ key: Buffer.from('x') }), undefined, source)), /no document/)
})

test('entries are chosen by stage, class, a part of the reason, time, and key or pattern', () => {
  const entry = entryOfOne()
  const wishes = [
    [{ stage: 'embed-documents', class: 'schema', reason: 'NOT in the', key: 'acme/' }, true],
    [{ key: '*/a' }, true],
    [{ key: 'a*/b' }, false],
    [{ key: '.cme/*' }, false],
    [{ since: MINUTE_MS, until: MINUTE_MS + 1 }, true],
    [{ since: MINUTE_MS + 1 }, false],
    [{ until: MINUTE_MS }, false],
    [{ class: 'size' }, false],
  ] as const

  for (const [wish, wished] of wishes) assert.equal(isWished(entry, wish), wished, JSON.stringify(wish))
})

test('reasons that differ in numbers and quoted pieces only are one group, with the newest as the example', () => {
  const reason = (text: string, id: number) => `title: is ${JSON.stringify(text)}; schema id ${id}`
  const entries = entriesOf(
    { offset: 1, reason: reason('one', 4) },
    { offset: 2, reason: reason('two "quoted"', 42) },
    { offset: 3, reason: 'other' },
  )

  const groups = grouped([...entries.values()])

  assert.deepEqual(
    groups.map((group) => [group.entries, group.reason]),
    [
      [2, 'title: is "…"; schema id #'],
      [1, 'other'],
    ],
  )
  assert.equal(groups[0]!.example, [...entries.keys()][1])
})

test('an id is found by its beginning; one that is unknown, ambiguous or none says what to give', () => {
  const entries = entriesOf(...Array.from({ length: 40_000 }, (_, offset) => ({ offset })))
  const ids = [...entries.keys()]
  const twice = ids.find((id, i) => ids.some((other, j) => i !== j && other.startsWith(id.slice(0, 4))))!

  assert.equal(entryOf(entries, ids[5]!.slice(0, 20)).id, ids[5])
  assert.throws(() => entryOf(entries, twice.slice(0, 4)), /is the beginning of \d+ ids \(.*give more of it/)
  assert.throws(() => entryOf(entriesOf({}), 'ffff0000'), /no dead letter begins with ffff0000; dlq list --all/)
  assert.throws(() => entryOf(entries, 'acme/a'), /"acme\/a" is not one; give 4 or more/)
})

test('letters of an erased document are not among those that may be seen, the others are', () => {
  const entry = entryOfOne()
  const entries = new Map([
    ['a'.repeat(32), { ...entry, id: 'a'.repeat(32) }],
    ['b'.repeat(32), { ...entry, id: 'b'.repeat(32) }],
    ['c'.repeat(32), { ...entry, id: 'c'.repeat(32) }],
  ])
  const deadLetter = { at: 0, by: 'jane@example', why: '', through: 9 }
  const decided = new Map([
    [decisionKey('a'.repeat(32)), { deadLetter: { ...deadLetter, state: 'erased' } }],
    [decisionKey('b'.repeat(32)), { deadLetter: { ...deadLetter, state: 'discarded' } }],
  ])

  const seen = withoutErased(entries, (key) => decided.get(key) as Control | undefined)

  assert.deepEqual([...seen.keys()], ['b'.repeat(32), 'c'.repeat(32)])
})
