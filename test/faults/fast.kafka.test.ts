import assert from 'node:assert/strict'
import { test } from 'node:test'
import { campaign } from './campaign.ts'
import { lineOf, type RowReport } from './report.ts'
import { rows } from './rows.ts'

const seed = Number(process.env.FRESHET_SEED ?? 20261124)

for (const row of rows.filter(({ sets }) => sets.includes('fast'))) {
  test(`${row.id}, ${row.title}: every promise holds (seed ${seed})`, async (t) => {
    let report: RowReport | null = null

    await campaign([row], { set: 'fast', seed, told: (told) => (report = told), say() {} })

    const { result, counts, figures } = report!
    t.diagnostic(JSON.stringify({ ...counts, ...figures }))
    assert.equal(result, 'pass', lineOf(report!))
    assert.ok(counts!.events > 0 && counts!.served > 0 && counts!.answers > 0, 'the row has looked at nothing')
  })
}
