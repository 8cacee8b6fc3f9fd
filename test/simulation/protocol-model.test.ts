import assert from 'node:assert/strict'
import { test } from 'node:test'
import { modelSeeds } from './protocol-model-runs.ts'
import { type Rule, rules, without } from './protocol-rules.ts'

/** Longer: `npm run simulate -- --model --seeds 100000`. */
const SEEDS = 1_500
/** Within these each rule is found to be missed. */
const SEEDS_MAX = 8_000

test('with all its rules the protocol keeps its promises', () => {
  const { broken } = modelSeeds({ from: 1, seeds: SEEDS })

  assert.deepEqual(broken, [])
})

for (const rule of Object.keys(rules) as Rule[]) {
  test(`without a rule of the protocol a promise breaks: ${rule}`, () => {
    const { broken } = modelSeeds({ from: 1, seeds: SEEDS_MAX, rules: without(rule), stopAtFirst: true })

    assert.equal(broken.length, 1, `${SEEDS_MAX} seeds did not miss it: is it needed?`)
  })
}
