import assert from 'node:assert/strict'
import { test } from 'node:test'
import { filterOf } from '../../cli/filter.ts'
import { attributesIn, filterIn } from './pairs.ts'

test('a filter reads as on the command line', () => {
  const conditions = ['team=support', 'year>=2024', 'year<2026', 'draft!=true', 'zip=01234', 'name="12"', 'n=-1.5']

  const here = filterIn(conditions.join('  '))
  const there = conditions.reduce((before, each) => filterOf(each, before), {})

  assert.deepEqual(here, { value: there })
})

test('a value in quotes may have spaces, and nothing typed filters nothing', () => {
  assert.deepEqual(filterIn(' team="customer support" draft=false '), {
    value: { team: 'customer support', draft: false },
  })
  assert.deepEqual(filterIn('  '), { value: {} })
})

test('what is no condition is named', () => {
  assert.deepEqual(filterIn('team=support year'), { fault: '“year” is not name=value' })
  assert.deepEqual(filterIn('=support'), { fault: '“=support” is not name=value' })
  assert.deepEqual(filterIn('team='), { fault: '“team=” is not name=value' })
})

test('attributes are what a document has, and no conditions', () => {
  assert.deepEqual(attributesIn('team=support year=2024'), { value: { team: 'support', year: 2024 } })
  assert.deepEqual(attributesIn('year>=2024'), { fault: '“year>=…” is not name=value' })
})
