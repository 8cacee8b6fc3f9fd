import { Command, InvalidArgumentError } from 'commander'
import { callerConfig, loadConfig } from '../services/config.ts'
import { createKey, listKeys, revokeKey, type WantedKey } from '../services/key-administration.ts'
import { type Scope, scopes } from '../services/principal.ts'
import { administer } from './administer.ts'

export function keys(): Command {
  return new Command('keys')
    .description('Creates, lists and revokes API keys.')
    .addCommand(create())
    .addCommand(list())
    .addCommand(revoke())
}

interface Wanted extends Omit<WantedKey, 'name' | 'tenant'> {
  readonly tenant?: string
}

function create(): Command {
  return new Command('create')
    .description('Creates a key, and shows it this once.')
    .argument('<name>', 'for people: whose it is, and what for')
    .option('-t, --tenant <tenant>', 'whose documents it reads and writes; default: the configured tenant')
    .option('-s, --scopes <list>', `of ${scopes.join(', ')}, with commas between`, scopesIn, ['search'] as Scope[])
    .option(
      '-g, --groups <list>',
      'sees documents whose acl names one of these, with commas between; * sees all',
      words,
      ['*'],
    )
    .option('-e, --expires <days>', 'days until it is not good any more; default: never', positive)
    .option('--requests-per-second <number>', 'its own limit', positive)
    .option('--embedded-tokens-per-minute <number>', 'its own limit', positive)
    .option('--generated-tokens-per-minute <number>', 'its own limit', positive)
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet keys create "the website" --scopes search --expires 90')
    .action(async (name: string, wanted: Wanted & { json?: true }) => {
      const { tenant } = loadConfig(callerConfig, { env: process.env })
      const made = await administer((administration) => createKey({ tenant, ...wanted, name }, administration))
      if (wanted.json) return console.log(JSON.stringify(made, null, 2))
      console.log(made.apiKey)
      console.error(
        `Keep it: it is shown this once. It is ${made.id}, of ${made.tenant}, for ${made.scopes.join(', ')}.`,
      )
    })
}

function list(): Command {
  return new Command('list')
    .description('Lists the keys, without their secrets.')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet keys list')
    .action(async ({ json }: { json?: true }) => {
      const found = await administer(async ({ control }) => listKeys(control.entries()))
      if (json) return console.log(JSON.stringify(found, null, 2))
      if (found.length === 0) console.log('There are no keys; freshet keys create makes one.')
      for (const { id, state, tenant, name, scopes: own, createdAt } of found)
        console.log(
          `${id}  ${state.padEnd(7)}  ${day(createdAt)}  ${tenant.padEnd(12)}  ${own.join(',').padEnd(24)}  ${name}`,
        )
    })
}

function revoke(): Command {
  return new Command('revoke')
    .description('Ends a key; connections made with it are closed.')
    .argument('<id>', 'its id, or the whole key')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet keys revoke k3wq7yh2m4ab')
    .action(async (text: string, { json }: { json?: true }) => {
      const id = /^fk_([a-z2-7]{12})_/.exec(text)?.[1] ?? text
      const revoked = await administer((administration) => revokeKey(id, administration))
      if (revoked === undefined) throw new Error(`there is no key ${JSON.stringify(id)}; freshet keys list shows them`)
      if (json) console.log(JSON.stringify(revoked, null, 2))
      else console.log(`${id}  revoked`)
    })
}

const words = (text: string): string[] =>
  text
    .split(',')
    .map((each) => each.trim())
    .filter((each) => each !== '')

function scopesIn(text: string): Scope[] {
  const wrong = words(text).find((word) => !(scopes as readonly string[]).includes(word))
  if (wrong !== undefined) throw new InvalidArgumentError(`${wrong} is no scope; choose of ${scopes.join(', ')}.`)
  return words(text) as Scope[]
}

export function positive(text: string): number {
  const value = Number(text)
  if (!(value > 0) || !Number.isFinite(value)) throw new InvalidArgumentError('give a number above 0.')
  return value
}

const day = (ms: number): string => new Date(ms).toISOString().slice(0, 10)
