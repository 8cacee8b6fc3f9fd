import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { documents } from '../schemas/topics.ts'
import { stackConnect } from './connectors.ts'
import { openPostgresLive } from './postgres-live.ts'
import { random as seeded } from './random.ts'
import { deadLettersOf, recordsOf } from './topic-records.ts'
import { until } from './until.ts'

/**
 * `node test/connect-snapshot.ts --rows 50000 --out FILE`: a table is snapshotted by Debezium while it is written to, the connector is started again in the middle, and
 * the index is compared with the table, row by row. On the stack at FRESHET_PORT_BASE. Vectors come from the hash engine.
 */
const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '50000' },
    seed: { type: 'string', default: '1' },
    out: { type: 'string' },
  },
})
const rows = Number(values.rows)
const random = seeded(Number(values.seed))
const say = (text: string) => process.stderr.write(`${text}\n`)

const insert = (from: number, to: number) =>
  `insert into notes (id, title, text) select g, 'Row ' || g, 'Short row ' || g || ' of the table' from generate_series(${from}, ${to}) g;`
const unlimited = Object.fromEntries(
  ['SOURCE_DOCUMENTS_PER_SECOND', 'TENANT_DOCUMENTS_PER_SECOND', 'TENANT_BYTES_PER_SECOND'].map((name) => [
    `FRESHET_${name}`,
    '1000000000',
  ]),
)
const began = performance.now()
await using live = await openPostgresLive({ before: insert(1, rows), env: unlimited })
let rounds = 0
let writing = true
const writer = (async () => {
  for (let next = rows + 1; writing; next++) {
    const id = () => 1 + Math.floor(random() * rows)
    const [updated, deleted, moved] = [id(), id(), id()]
    await live.postgres.sql(`${insert(next, next)}
      update notes set text = 'Changed ' || ${next} || ' of row ' || id where id = ${updated};
      delete from notes where id = ${deleted};
      update notes set id = id + 10000000 where id = ${moved};`)
    rounds++
  }
})()
say(`the snapshot runs, and ${rows} rows are written to`)
/** With the markers of transactions. */
const offsets = async () =>
  (await live.platform.broker.admin.offsets(live.platform.topic(documents))).reduce((sum, { end }) => sum + end, 0)
const reached = (wanted: number) =>
  until(`${wanted} offsets of documents`, async () => (await offsets()) >= wanted, 900_000, 500)
await reached(rows / 2)
await stackConnect().restart(live.connector, { all: true })
say('the connector is started again')
await reached(rows)
writing = false
await writer
await live.equal(600_000)
const tookMs = Math.round(performance.now() - began)
const letters = await deadLettersOf(live.platform)
const report = {
  at: new Date().toISOString(),
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim(),
  engine: 'hash (no model: only the way of the rows is looked at)',
  seed: Number(values.seed),
  rowsAtTheSnapshot: rows,
  writtenWhileItRan: `${rounds} transactions, each an insert, an update, a delete and a changed primary key`,
  connectorStartedAgain: true,
  rowsInTheEnd: Number((await live.postgres.sql('select count(*) from notes'))[0]![0]),
  recordsInDocuments: (await recordsOf(live.platform, documents)).length,
  deadLetters: letters.length,
  tookMs,
  rowsPerSecond: Math.round((rows * 1000) / tookMs),
  oracle: 'equal: every row of the table is served once with its key, title and text, and nothing else is',
}
const text = `${JSON.stringify(report, null, 2)}\n`
if (values.out !== undefined) writeFileSync(values.out, text)
process.stdout.write(text)
process.exitCode = letters.length === 0 && report.rowsInTheEnd > 0 ? 0 : 1
