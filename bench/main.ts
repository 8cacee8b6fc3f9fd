import { writeFileSync } from 'node:fs'
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { localRoles } from '../cli/roles.ts'
import { progressReporter } from '../infra/local/progress.ts'
import { runStack } from '../infra/local/run-stack.ts'
import { localSettings } from '../infra/local/settings.ts'
import { reasonOf } from '../streams/errors.ts'
import { audit } from './audit.ts'
import type { Bench } from './bench.ts'
import { footprint } from './footprint.ts'
import { gateway } from './gateway.ts'
import { largeDocument } from './large-document.ts'
import { latency } from './latency.ts'
import { noisyTenant } from './noisy-tenant.ts'
import { openPlatform } from './platform.ts'
import { queries } from './queries.ts'
import { redelivery } from './redelivery.ts'
import { type Report, table } from './report.ts'
import { search } from './search.ts'
import { standing } from './standing.ts'
import { tenants } from './tenants.ts'
import { throughput } from './throughput.ts'

/** `node bench/main.ts [name…]`: measures, on a local stack of its own, and says which aims hold. */
const benches: Readonly<Record<string, Bench>> = {
  throughput,
  latency,
  'large-document': largeDocument,
  queries,
  redelivery,
  footprint,
  audit,
  gateway,
  tenants,
  'noisy-tenant': noisyTenant,
  search,
  standing,
}

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    documents: { type: 'string', default: '3000' },
    standing: { type: 'string', default: '10000' },
    threads: { type: 'string', default: String(cpus().length) },
    json: { type: 'string' },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})

const usage = `node bench/main.ts [${Object.keys(benches).join(' | ')}]…   all of them if none is named
  --rounds 3        rounds of each, the sides of a comparison in turn within a round
  --documents 3000  documents of a bulk round
  --standing 10000  standing queries
  --threads ${cpus().length}       threads that embed
  --json FILE       writes the report there
  --profile DIR     writes the CPU profiles of the roles there
FRESHET_PORT_BASE, FRESHET_DATA and FRESHET_TOOLS say where the stack lies, as for npm start.`

const names = positionals.length > 0 ? positionals : Object.keys(benches)
const unknown = names.filter((name) => benches[name] === undefined)
if (flags.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`there is no ${unknown.join(', ')}`)
  console.error(usage)
  process.exit(flags.help ? 0 : 2)
}

const settings = localSettings(process.env)
const report = progressReporter(process.stderr, { quiet: true })
const code = await runStack({ ...settings, parts: ['kafka', 'registry', 'qdrant'], report }, async (stack) => {
  const results: Report = { at: new Date().toISOString(), node: process.version, cpus: cpus().length, benches: [] }
  const options = {
    rounds: Number(flags.rounds),
    documents: Number(flags.documents),
    standing: Number(flags.standing),
    threads: Number(flags.threads),
    say: (text: string) => process.stderr.write(`  ${text}\n`),
  }
  const open = (name: string, env: Readonly<Record<string, string>> = {}) =>
    openPlatform(name, {
      stack,
      threads: options.threads,
      roles: (env) => localRoles(settings, { FRESHET_PRINCIPALS: 'configured', ...env }),
      profileDir: flags.profile ?? null,
      settings: env,
    })
  for (const name of names) {
    process.stderr.write(`${name}\n`)
    const loadBefore = loadavg()[0]!
    try {
      const figures = await benches[name]!({ ...options, stack, open })
      results.benches.push({ name, load: [loadBefore, loadavg()[0]!], figures })
      process.stdout.write(`\n${table(results.benches.at(-1)!)}\n`)
    } catch (error) {
      process.stderr.write(`${name} failed: ${reasonOf(error)}\n${(error as Error).stack}\n`)
      return 1
    }
  }
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(results, null, 2)}\n`)
  return 0
})
// Where it was interrupted, threads and connections of a measurement are still open.
process.exit(code)
