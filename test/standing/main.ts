import { parseArgs } from 'node:util'
import { runStanding } from './run.ts'

/** Standing queries beside random changes, for as long as wanted: `node test/standing/main.ts --changes 10000 --seeds 3`. */
const { values } = parseArgs({
  options: {
    changes: { type: 'string', default: '10000' },
    seeds: { type: 'string', default: '3' },
    from: { type: 'string', default: '1' },
  },
})
const first = Number(values.from)
let failed = 0
for (let seed = first; seed < first + Number(values.seeds); seed++) {
  const began = performance.now()
  const { differences, ...run } = await runStanding({ seed, changes: Number(values.changes) })
  failed += differences.length
  const seconds = Math.round((performance.now() - began) / 1_000)
  console.log(
    JSON.stringify({ seed, changes: Number(values.changes), seconds, differences: differences.length, ...run }),
  )
  for (const difference of differences.slice(0, 5)) console.log(`  ${difference}`)
}
process.exitCode = failed === 0 ? 0 : 1
