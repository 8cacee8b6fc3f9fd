import assert from 'node:assert/strict'
import { test } from 'node:test'
import { catalogue, documents, inbox, progress } from '../schemas/topics.ts'
import { deletionGone, goneByCompaction, goneByTime, latestOf, rollMs } from './erasure-bounds.ts'
import { erasureOf, erasures, undeclared } from './erasure-places.ts'

const DAY_MS = 86_400_000
const HOUR_MS = 3_600_000

test('every topic of the catalogue says how it is erased, and one that does not is found', () => {
  const names = catalogue.map(({ name }) => name)

  const missing = undeclared([...catalogue, { ...progress, name: 'answers' }])

  assert.deepEqual(undeclared(), [])
  assert.deepEqual(missing, ['answers'])
  assert.throws(() => erasureOf({ ...progress, name: 'answers' }), /topic answers: nobody has said how it is erased/)
  assert.deepEqual(Object.keys(erasures).sort(), names.toSorted())
})

test('what holds anything of a document has, with the settings of the catalogue, a bound in time', () => {
  const holding = catalogue.filter((topic) => erasureOf(topic).holds !== 'nothing')

  const bounds = holding.map((topic) => {
    const { by } = erasureOf(topic)
    assert.equal(topic.config['cleanup.policy'], by === 'time' ? 'delete' : 'compact', topic.name)
    return (by === 'time' ? goneByTime : goneByCompaction)(topic.config, 0).at
  })

  assert.ok(holding.length >= 6)
  assert.ok(bounds.every((at) => at !== null && at > 0))
})

test('a record of a log that is kept by time goes with its segment, whose latest record may be dated ahead', () => {
  const days = (config: Record<string, string>) => (goneByTime(config, 0).at! - HOUR_MS) / DAY_MS

  const stamped = days({
    'retention.ms': String(7 * DAY_MS),
    'segment.ms': String(DAY_MS),
    'message.timestamp.type': 'LogAppendTime',
  })
  const dated = days({
    'retention.ms': String(7 * DAY_MS),
    'segment.ms': String(DAY_MS),
    'message.timestamp.after.max.ms': String(2 * DAY_MS),
  })

  assert.deepEqual([stamped, dated], [8, 10])
  assert.deepEqual((goneByTime(inbox.config, 0).at! - 2 * HOUR_MS) / DAY_MS, 8)
})

test('a former value goes when its log must be compacted, the deletion itself after one more time', () => {
  const value = goneByCompaction(documents.config, 1_000)
  const key = deletionGone(documents.config, 1_000)

  assert.equal((value.at! - 1_000 - HOUR_MS) / DAY_MS, 3)
  assert.equal((key.at! - 1_000 - 2 * HOUR_MS) / DAY_MS, 3 + 7 + 3)
  assert.equal(rollMs(documents.config), DAY_MS)
})

test('settings that give no bound say which one is to be set', () => {
  const never = '9223372036854775807'

  const bounds = [
    goneByTime({ 'retention.ms': '-1' }, 0),
    goneByTime({ 'message.timestamp.after.max.ms': never }, 0),
    goneByCompaction({}, 0),
    deletionGone({ 'max.compaction.lag.ms': never }, 0),
  ]

  assert.deepEqual(
    bounds.map(({ at }) => at),
    [null, null, null, null],
  )
  assert.ok(bounds.every(({ why }) => /set/.test(why)))
  assert.equal(latestOf([{ at: 3, why: 'b' }, bounds[0]!])!.at, null)
  assert.equal(
    latestOf([
      { at: 3, why: 'b' },
      { at: 5, why: 'a' },
    ])!.at,
    5,
  )
})
