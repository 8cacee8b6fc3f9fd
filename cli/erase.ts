import { hostname, userInfo } from 'node:os'
import { Command, InvalidArgumentError } from 'commander'
import { erase as eraseAll } from '../maintenance/erase.ts'
import type { ErasureReceipt } from '../maintenance/erasure-receipt.ts'
import { checkSubject, type Subject } from '../maintenance/erasure-world.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { spaceIn } from '../services/engine.ts'
import { openErasing } from '../services/erasing.ts'
import { confirm } from './confirm.ts'
import { receiptLines } from './erase-words.ts'

interface Options {
  readonly tenant?: string
  readonly dryRun?: true
  readonly yes?: true
  readonly timeout: number
  readonly json?: true
}

export function erase(): Command {
  return new Command('erase')
    .description(
      'Erases documents, or all of a tenant, wherever they lie, and gives a receipt that lists each place and by when it is gone. Interrupted anywhere, the same command goes on.',
    )
    .argument('[key...]', 'keys of documents, like acme/handbook-7')
    .option('-t, --tenant <tenant>', 'all of this tenant; its API keys are revoked and nothing is admitted any more')
    .option('--dry-run', 'says where something lies, and changes nothing')
    .option('--yes', 'does not ask')
    .option('--timeout <seconds>', 'how long to wait until the index and the receipts confirm it', seconds, 60)
    .option('--json', 'the receipt as JSON')
    .addHelpText('after', '\nExample: freshet erase acme/handbook-7 --dry-run')
    .action(async (keys: string[], options: Options) => {
      const subject = subjectOf(keys, options)
      const config = loadConfig(workerConfig, { env: process.env })
      const interrupted = new AbortController()
      process.once('SIGINT', () => interrupted.abort(new Error('interrupted; the same command goes on from here')))
      const by = `${userInfo().username}@${hostname()}`
      const world = await openErasing(config, spaceIn(config).id, { by, requestId: null })
      try {
        const shared = { timeoutMs: options.timeout * 1_000, signal: interrupted.signal }
        if (options.dryRun) return tell(await eraseAll(subject, world, { ...shared, dryRun: true }), options, false)
        if (!options.yes && !(await confirm(`${questionOf(subject)} This cannot be undone.`))) {
          console.error('nothing was erased')
          process.exitCode = 2
          return
        }
        tell(await eraseAll(subject, world, { ...shared, progressed: progress() }), options, true)
      } finally {
        await world.close()
      }
    })
}

function subjectOf(keys: readonly string[], { tenant }: Options): Subject {
  if (tenant !== undefined && keys.length > 0)
    throw new Error('which: give keys, or --tenant, which erases all of them')
  const subject: Subject = tenant === undefined ? { keys: [...new Set(keys)] } : { tenant }
  checkSubject(subject)
  return subject
}

const questionOf = (subject: Subject): string =>
  'tenant' in subject
    ? `Erase all of the tenant ${subject.tenant}, and admit nothing of it any more?`
    : `Erase ${subject.keys.length === 1 ? subject.keys[0] : `${subject.keys.length} documents`} everywhere?`

/** Says what is waited for, each time that it changes. */
function progress(): (open: readonly string[]) => void {
  let said = ''
  return (open) => {
    const text = open.join('; ')
    if (text !== '' && text !== said) console.error(`waiting: ${text}`)
    said = text
  }
}

function tell(receipt: ErasureReceipt, { json }: Options, erased: boolean): void {
  if (json) console.log(JSON.stringify(receipt, null, 2))
  else console.log(receiptLines(receipt, erased).join('\n'))
  if (erased && !receipt.complete) process.exitCode = 1
}

function seconds(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('give seconds, like 60.')
  return value
}
