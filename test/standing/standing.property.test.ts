import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runStanding } from './run.ts'

/** More: `node test/standing/main.ts --changes 10000 --seeds 3`. */
const CHANGES = 250

for (const seed of [1, 2])
  test(`whatever changes, at rest each standing query has what a fresh exact search finds (seed ${seed})`, async () => {
    const { differences, compared, counts } = await runStanding({ seed, changes: CHANGES })

    assert.deepEqual(differences.slice(0, 3), [])
    assert.ok(compared > 150, `${compared} compared`)
    // What never happened was not followed.
    for (const what of ['snapshot', 'diff', 'recovered', 'enter', 'leave', 'move', 'update'])
      assert.ok(counts[what]! > 0, `${what}: ${JSON.stringify(counts)}`)
  })

test('changes that are overlooked are found', async () => {
  const { differences } = await runStanding({ seed: 1, changes: 100, overlooked: 0.3 })

  assert.ok(differences.length > 0)
})
