import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readYourWrites } from './run.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)

/** More: `node test/read-your-writes/main.ts --pairs 10000`, also with `--kill`. */
test(`what was published by one instance is in every answer of another that was asked for it, and who was too early is told (seed ${seed})`, async (t) => {
  const options = {
    pairs: 100,
    trouble: 'freeze',
    troubles: 1,
    patient: 6,
    hasty: 2,
    loadRecordsPerSecond: 10,
  } as const

  const { pairs, staleFound, counts, unmet } = await readYourWrites({ seed, ...options })

  t.diagnostic(JSON.stringify({ ...pairs, ...unmet }))
  assert.deepEqual(staleFound, [])
  assert.ok(pairs.satisfied >= options.pairs && pairs.answersCompared >= pairs.satisfied, JSON.stringify(pairs))
  assert.ok(unmet.error.count > 0 && unmet.stale.count > 0, JSON.stringify(counts))
})
