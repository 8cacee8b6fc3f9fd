import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CONDITIONS_MAX, type Filter, filterSchema, matches } from './filter.ts'

const document = { kind: 'bird', legs: 2, tags: ['wader', 'grey'], seen: '2026-03-01T08:00:00Z', rare: false, none: [] }

const cases: readonly (readonly [string, Filter, boolean])[] = [
  ['nothing asked', {}, true],
  ['equal', { kind: 'bird' }, true],
  ['not equal', { kind: 'Bird' }, false],
  ['a list contains it', { tags: 'grey' }, true],
  ['any of', { tags: { in: ['red', 'wader'] } }, true],
  ['none', { tags: { not: 'grey' } }, false],
  ['none, where it is absent', { colour: { not: 'grey' } }, true],
  ['a number within bounds', { legs: { gt: 1, lte: 2 } }, true],
  ['text is not within bounds of numbers', { kind: { gt: 1 } }, false],
  ['a date within bounds', { seen: { gte: '2026-03-01T09:00:00+01:00', lt: '2026-03-01T08:00:01Z' } }, true],
  ['a date after the bounds', { seen: { lt: '2026-03-01T08:00:00Z' } }, false],
  ['text that is no date', { kind: { gte: '2026-03-01T08:00:00Z' } }, false],
  ['there', { rare: { exists: true } }, true],
  ['an empty list is not there', { none: { exists: true } }, false],
  ['absent', { colour: { exists: false } }, true],
  ['all of several', { $and: [{ kind: 'bird' }, { legs: 4 }] }, false],
  ['one of several', { $or: [{ kind: 'fish' }, { legs: { gte: 2 } }] }, true],
  ['not that', { $not: { kind: 'bird', legs: 4 } }, true],
  [
    'within each other',
    { kind: 'bird', $or: [{ $and: [{ legs: 2 }, { $not: { tags: 'grey' } }] }, { rare: true }] },
    false,
  ],
]

for (const [what, filter, expected] of cases)
  test(`a filter: ${what}`, () => {
    assert.equal(filterSchema.safeParse(filter).success, true)
    assert.equal(matches(filter, document), expected)
  })

const refused: readonly (readonly [string, unknown, RegExp])[] = [
  ['a bound that is missing', { legs: {} }, /is no condition; give a value/],
  ['a date without a zone', { seen: { gt: '2026-03-01T08:00:00' } }, /./],
  ['bounds of both kinds', { seen: { gt: 1, lt: '2026-03-01T08:00:00Z' } }, /./],
  ['a name that is none', { $where: 'x' }, /name of an attribute/],
  ['an empty $or', { $or: [] }, /./],
  ['a $not that is a list', { $not: [{ legs: 1 }] }, /./],
  ['too deep', { $not: { $not: { $not: { $not: { legs: 1 } } } } }, /./],
  [
    'too many',
    { $or: Array.from({ length: CONDITIONS_MAX + 1 }, (_, i) => ({ [`a${i}`]: 1 })).slice(0, 32), $and: [{ b: 1 }] },
    /more than 32/,
  ],
]

for (const [what, filter, reason] of refused)
  test(`a filter that is refused: ${what}`, () => {
    const { success, error } = filterSchema.safeParse(filter)

    assert.equal(success, false)
    assert.match(JSON.stringify(error!.issues), reason)
  })
