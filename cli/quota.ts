import { Command } from 'commander'
import type { Control } from '../schemas/records.ts'
import type { Administration } from '../services/administration.ts'
import { loadConfig, queryConfig, rolePorts, workerConfig } from '../services/config.ts'
import type { OwnQuota } from '../services/quotas.ts'
import { sourcesOf } from '../services/sources.ts'
import { administer } from './administer.ts'
import { positive } from './keys.ts'
import { type Holder, type HolderOptions, holderOf, type QuotaRow, quotaRows, recordOf } from './quota-rows.ts'
import { quotaUse } from './quota-use.ts'

export function quota(): Command {
  return new Command('quota')
    .description('Shows, sets and clears what is admitted of a tenant or a source.')
    .addCommand(show())
    .addCommand(set())
    .addCommand(clear())
}

const forHolder = (command: Command): Command =>
  command.option('-t, --tenant <tenant>', 'of this tenant').option('-s, --source <topic>', 'of this source of ingest')

function show(): Command {
  return forHolder(new Command('show'))
    .description(
      'Shows the configured quotas, those of their own, and what is left where a role of this machine knows.',
    )
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet quota show --tenant acme')
    .action(async ({ json, ...options }: HolderOptions & { json?: true }) => {
      const only = options.tenant === undefined && options.source === undefined ? null : holderOf(options)
      const config = settings()
      const [rows, use] = await Promise.all([
        administer(async ({ control }) => quotaRows(control, config, only)),
        quotaUse(rolePorts(config)),
      ])
      const shown = rows.map((row) => ({
        ...row,
        left: use.filter(({ of }) => of.replace(/ \(.*\)$/, '') === nameOf(row)),
      }))
      if (json) return console.log(JSON.stringify(shown, null, 2))
      for (const { left, ...row } of shown) {
        console.log(lineOf(row))
        for (const { role, of, measure, share } of left)
          console.log(`  ${Math.round(share * 100)} % left of the ${measure} that ${of} may spend at once, in ${role}`)
      }
    })
}

interface Wanted extends HolderOptions {
  readonly documentsPerSecond?: number
  readonly bytesPerSecond?: number
  readonly embeddedTokensPerMinute?: number
  readonly bulk?: boolean
}

function set(): Command {
  return forHolder(new Command('set'))
    .description('Sets quotas of its own, in force within a second everywhere; what is not named stays as it is.')
    .option('--documents-per-second <number>', 'twice as many at once', positive)
    .option('--bytes-per-second <number>', 'of keys and texts; ten times as many at once', positive)
    .option('--embedded-tokens-per-minute <number>', 'one for four bytes of text; a sixth of it at once', positive)
    .option('--bulk', 'of a source: only while the index is not far behind')
    .option('--no-bulk', 'of a source: always')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet quota set --tenant acme --documents-per-second 50')
    .action(async ({ json, ...wanted }: Wanted & { json?: true }) => {
      const row = await administer((administration) => setQuota(wanted, administration))
      console.log(json ? JSON.stringify(row, null, 2) : lineOf(row))
    })
}

function clear(): Command {
  return forHolder(new Command('clear'))
    .description('Takes quotas of its own back: the configured ones are in force again.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet quota clear --tenant acme')
    .action(async ({ json, ...options }: HolderOptions & { json?: true }) => {
      const row = await administer((administration) => clearQuota(options, administration))
      console.log(json ? JSON.stringify(row, null, 2) : lineOf(row))
    })
}

export async function setQuota(wanted: Wanted, { control, decide }: Administration): Promise<QuotaRow> {
  const holder = holderOf(wanted)
  const sources = sourcesOf(settings()).map(({ name }) => name)
  if (holder.kind === 'source' && !sources.includes(holder.name))
    throw new Error(
      `--source: there is no ${holder.name}; there are ${sources.join(', ')} (FRESHET_SOURCES names more)`,
    )
  const { documentsPerSecond, bytesPerSecond, embeddedTokensPerMinute, bulk } = wanted
  if (holder.kind === 'tenant' && bulk !== undefined)
    throw new Error('--bulk: a tenant is not bulk, a source is; give the tenant a source of its own and mark that')
  const own = { documentsPerSecond, bytesPerSecond, embeddedTokensPerMinute }
  if (bulk === undefined && Object.values(own).every((value) => value === undefined))
    throw new Error(
      'nothing is to be set; name --documents-per-second, --bytes-per-second, --embedded-tokens-per-minute or --bulk',
    )
  const record = recordOf(control, holder, (present) => ({
    documentsPerSecond: documentsPerSecond ?? present.documentsPerSecond,
    bytesPerSecond: bytesPerSecond ?? present.bytesPerSecond,
    embeddedTokensPerMinute: embeddedTokensPerMinute ?? present.embeddedTokensPerMinute,
    bulk: bulk ?? present.bulk,
  }))
  await decide(holder.subject, record, { what: 'quota set', detail: detailOf({ ...own, bulk }) })
  return rowAfter(control, holder, record)
}

export async function clearQuota(options: HolderOptions, { control, decide }: Administration): Promise<QuotaRow> {
  const holder = holderOf(options)
  const present = control.get(holder.subject)
  const [row] = quotaRows(control, settings(), holder)
  if (!row!.hasOwn)
    throw new Error(
      `${holder.kind} ${holder.name} has no quota of its own; freshet quota show lists those that have one`,
    )
  // That a tenant was erased is not a quota, and stays.
  const erased = present?.tenant?.erasedAt != null
  const record = erased ? recordOf(control, holder, () => NONE) : null
  await decide(holder.subject, record, { what: 'quota clear' })
  return rowAfter(control, holder, record)
}

const NONE = { documentsPerSecond: null, bytesPerSecond: null, embeddedTokensPerMinute: null, bulk: false }

function rowAfter(control: ReadonlyMap<string, Control>, holder: Holder, record: Partial<Control> | null): QuotaRow {
  const after = new Map(control)
  if (record === null) after.delete(holder.subject)
  else after.set(holder.subject, record as Control)
  return quotaRows(after, settings(), holder)[0]!
}

const settings = () => ({
  ...loadConfig(workerConfig, { env: process.env }),
  ...loadConfig(queryConfig, { env: process.env }),
})

const detailOf = (set: Readonly<Record<string, unknown>>): string =>
  Object.entries(set)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${value}`)
    .join(' ')

const nameOf = ({ kind, name }: QuotaRow): string => `${kind} ${name}`

function lineOf(row: QuotaRow): string {
  const of = (field: keyof OwnQuota, unit: string) =>
    `${row.quota[field]} ${unit}${row.own[field] === null ? '' : ' (its own)'}`
  const marks = [row.bulk ? 'bulk' : '', row.erased ? 'erased: nothing is admitted' : ''].filter((mark) => mark !== '')
  return [
    row.name === null ? `every other ${row.kind}` : nameOf(row),
    of('documentsPerSecond', 'documents/s'),
    of('bytesPerSecond', 'bytes/s'),
    of('embeddedTokensPerMinute', 'embedded tokens/min'),
    ...marks,
  ].join('  ')
}
