import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterSchema } from '../search/filter.ts'
import { filterOf } from './filter.ts'

const written: readonly (readonly [readonly string[], object])[] = [
  [['team=support'], { team: 'support' }],
  [['year=2024'], { year: 2024 }],
  [['code="2024"'], { code: '2024' }],
  [['draft=false'], { draft: false }],
  [['zip=01067'], { zip: '01067' }],
  [['motto=a=b, and c'], { motto: 'a=b, and c' }],
  [['status!=draft'], { status: { not: 'draft' } }],
  [['year>=2020', 'year<2024.5'], { year: { gte: 2020, lt: 2024.5 } }],
  [['since>=2026-11-24T08:00:00Z'], { since: { gte: '2026-11-24T08:00:00Z' } }],
  [['{"$or":[{"a":1},{"b":{"exists":true}}]}'], { $or: [{ a: 1 }, { b: { exists: true } }] }],
  [['year > -1'], { year: { gt: -1 } }],
  [['{"lang":{"in":["en","de"]}}', 'team=support'], { lang: { in: ['en', 'de'] }, team: 'support' }],
  [['team=a', 'team=b'], { team: 'b' }],
]

test('conditions are written as people write them, and are what the protocol takes', () => {
  for (const [texts, expected] of written) {
    const filter = texts.reduce<Readonly<Record<string, unknown>> | undefined>(
      (so, text) => filterOf(text, so),
      undefined,
    )

    assert.deepEqual(filter, expected)
    assert.deepEqual(filterSchema.parse(filter), expected)
  }
})

test('what is no condition is refused with what to write', () => {
  for (const text of ['', 'team', '=support', '{"a":', '[1]', '1st=a']) assert.throws(() => filterOf(text), /give /)
  assert.throws(() => filterOf('year>soon'), /year: > compares numbers/)
})
