import assert from 'node:assert/strict'
import { test } from 'node:test'
import { random } from '../../test/random.ts'
import { DEPTH_MAX, FIELDS_MAX, FIELDS_OF_ONE_MAX, shapeFault } from './json-shape.ts'

const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const wide = (fields: number) => JSON.stringify(Object.fromEntries(Array.from({ length: fields }, (_, i) => [i, 0])))

test('a text at the bounds is let through, and one beyond each is refused with the bound', () => {
  const full = (fields: number) =>
    `[${Array.from({ length: fields / 100 }, () => wide(100)).join()},{${fields % 100 ? '"a":1' : ''}}]`

  assert.deepEqual([nested(DEPTH_MAX), wide(FIELDS_OF_ONE_MAX), full(FIELDS_MAX)].map(shapeFault), [null, null, null])
  assert.match(shapeFault(nested(DEPTH_MAX + 1))!, /16 deep/)
  assert.match(shapeFault(wide(FIELDS_OF_ONE_MAX + 1))!, /an object with more than 256/)
  assert.match(shapeFault(full(FIELDS_MAX + 1))!, /8000 fields in all/)
})

test('what stands in strings is no shape, whatever is escaped there', () => {
  const strings = [nested(100), '":'.repeat(10_000), '\\', '\\\\"', '\\"[', '{"a":'.repeat(50)]

  for (const each of strings) assert.equal(shapeFault(JSON.stringify({ [each]: each })), null, each.slice(0, 20))
  assert.match(shapeFault(`${JSON.stringify(['\\', '"'])}${nested(20)}`)!, /deep/)
})

test('of any JSON it says what a walk through the value says', () => {
  const next = random(5)
  const value = (depth: number): unknown => {
    if (depth === 0 || next() < 0.2) return ['\\', '"', '[{:', 1, null, 'é'][Math.floor(next() * 6)]
    const items = Array.from({ length: Math.floor(next() * 3) }, () => value(depth - 1))
    return next() < 0.5 ? items : Object.fromEntries(items.map((each, i) => [`${i}"\\`, each]))
  }
  const depthOf = (of: unknown): number =>
    typeof of === 'object' && of !== null ? 1 + Math.max(0, ...Object.values(of).map(depthOf)) : 0
  let deep = 0

  for (let i = 0; i < 3_000; i++) {
    const each = value(24)
    const isDeep = depthOf(each) > DEPTH_MAX
    if (isDeep) deep++
    assert.equal(shapeFault(JSON.stringify(each)) !== null, isDeep, JSON.stringify(each))
  }

  assert.ok(deep > 20 && deep < 2_900, `${deep} were deep`)
})

test('a text that is no JSON costs no more than its length', () => {
  for (const each of [']]]]', '"', '"\\', '{"a', ':'.repeat(100), '\\"'.repeat(1_000), ''])
    assert.equal(shapeFault(each), null, each.slice(0, 10))
})
