import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { openPostgresLive } from '../test/postgres-live.ts'
import { percentile } from './report.ts'

/**
 * `node bench/connect.ts --samples 200 --engine model`: from the commit of a row in PostgreSQL (its own clock, in the statement) to the first search that
 * shows it, one row at a time, by Debezium, Connect and a mapping. On the stack at FRESHET_PORT_BASE, with its Kafka Connect.
 */
const { values } = parseArgs({
  options: {
    samples: { type: 'string', default: '200' },
    engine: { type: 'string', default: 'hash' },
    out: { type: 'string' },
  },
})
const engine = values.engine === 'model' ? 'model' : 'hash'
const samples = Number(values.samples)
await using live = await openPostgresLive({
  engine,
  before: "insert into notes values (0, 'First', 'The first row.');",
})
await live.equal()
const client = await live.platform.client()
const WARM_UP = 20

const tookMs: number[] = []
for (let id = 1; id <= samples + WARM_UP; id++) {
  const insert = `insert into notes values (${id}, 'Row', 'Row number ${id} of the bittern.') returning extract(epoch from clock_timestamp()) * 1000;`
  const committed = live.postgres.sql(insert)
  const found = shownAt(String(id))
  const [[atMs]] = (await committed) as [[string]]
  if (id > WARM_UP) tookMs.push((await found) - Number(atMs))
  else await found
}
const report = {
  at: new Date().toISOString(),
  machine: `${cpus().length} cores, load ${loadavg()[0]!.toFixed(1)}`,
  engine:
    engine === 'hash' ? 'hash (no embedding: what it takes above it)' : 'model all-minilm-l6-v2-q, one thread or more',
  samples: tookMs.length,
  commitToSearchableMs: Object.fromEntries(
    [50, 95, 99].map((percent) => [`p${percent}`, Math.round(percentile(tookMs, percent))]),
  ),
}
const text = `${JSON.stringify(report, null, 2)}\n`
if (values.out !== undefined) writeFileSync(values.out, text)
process.stdout.write(text)

/** When a search shows the document first, ms since 1970. */
async function shownAt(id: string): Promise<number> {
  const deadline = performance.now() + 30_000
  while (performance.now() < deadline) {
    const { hits } = await client.search({ query: `number ${id} bittern`, k: 100 })
    if (hits.some(({ documentId }) => documentId === id)) return Date.now()
  }
  throw new Error(`document ${id} is not shown within 30 s`)
}
