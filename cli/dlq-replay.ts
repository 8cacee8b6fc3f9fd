import { Command, InvalidArgumentError } from 'commander'
import { type Entry, entryOf, shortId, type Wish } from '../maintenance/dead-letters.ts'
import { decideAll, type Outcome, replayAll } from '../maintenance/replay.ts'
import { inWords } from '../maintenance/replay-decision.ts'
import { control, redo } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import { confirm } from './confirm.ts'
import { lettersNow, listLetters, wishOptions } from './dlq-letters.ts'
import { type Operator, withOperator } from './operator.ts'

export function dlqReplay(): Command {
  const command = new Command('replay')
    .description('Tries dead letters again, never over anything newer, and says what became of each.')
    .argument('[id...]', 'their ids, or the beginnings of them; else options say which of the open ones')
    .option('--dry-run', 'says what would be done, and does nothing')
    .option('--yes', 'does not ask')
    .option('--timeout <seconds>', 'how long to wait for the outcomes of up to 64 at a time', seconds, 60)
    .option('--json', 'the outcomes as JSON; implies --yes')
    .addHelpText('after', '\nExample: freshet dlq replay --reason "schema id 42" --dry-run')
  for (const option of wishOptions()) command.addOption(option)
  return command.action(async (ids: string[], { dryRun, yes, json, timeout, ...wish }: Wish & Options) => {
    if (ids.length === 0 && Object.keys(wish).length === 0) {
      throw new Error('which: give ids, or one of --reason, --class, --stage, --key, --since, --until')
    }
    await withOperator(async (operator) => {
      const entries = await chosen(ids, wish, operator)
      if (dryRun) return plan(entries, operator, json === true)
      if (!yes && !json && !(await confirm(`Replay ${entries.length} dead letters?`))) return
      const outcomes = await replay(entries, operator, timeout * 1_000, json === true)
      if (json) console.log(JSON.stringify(outcomes.map(plainOutcome), null, 2))
      if (outcomes.some(({ outcome }) => FAILED.has(outcome))) process.exitCode = 1
    })
  })
}

interface Options {
  readonly dryRun?: true
  readonly yes?: true
  readonly json?: true
  readonly timeout: number
}

const FAILED = new Set<Outcome['outcome']>(['rejected', 'impossible', 'pending'])

/** By id whatever its state; by a wish only what is open. */
async function chosen(ids: readonly string[], wish: Wish, operator: Operator): Promise<Entry[]> {
  if (ids.length === 0) {
    const { stated } = await listLetters(operator, wish)
    return stated.filter(({ state }) => state === 'open').map(({ entry }) => entry)
  }
  const { entries } = await lettersNow(operator)
  return [...new Set(ids.map((id) => entryOf(entries, id)))]
}

async function plan(entries: readonly Entry[], operator: Operator, json: boolean): Promise<void> {
  const { decisions } = await decideAll(entries, operator)
  const planned = entries.map(({ id, latest: { key } }, i) => ({
    id,
    key,
    do: decisions[i]!.do,
    inWords: inWords(decisions[i]!),
  }))
  if (json) return console.log(JSON.stringify(planned, null, 2))
  for (const { id, key, inWords: what } of planned) console.log(`${shortId(id)}  ${key ?? 'no key'}: ${what}`)
  console.log(`${entries.length} dead letters, nothing was done.`)
}

async function replay(
  entries: readonly Entry[],
  operator: Operator,
  timeoutMs: number,
  quiet: boolean,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = []
  await operator.serde.register([redo, control])
  const producer = await operator.broker.producer()
  try {
    for await (const outcome of replayAll(entries, { ...operator, producer, clock: systemClock }, { timeoutMs })) {
      outcomes.push(outcome)
      const { id, latest } = outcome.entry
      if (!quiet) console.log(`${shortId(id)}  ${latest.key ?? 'no key'}: ${inFewWords(outcome)}`)
    }
  } finally {
    await producer.close()
  }
  if (!quiet) {
    const counts = Object.entries(Object.groupBy(outcomes, ({ outcome }) => outcome))
    console.log(
      `${outcomes.length} dead letters: ${counts.map(([what, each]) => `${each!.length} ${what}`).join(', ') || 'none'}.`,
    )
  }
  return outcomes
}

function inFewWords({ outcome, detail }: Outcome): string {
  if (outcome === 'rejected') return `rejected again, ${detail}`
  if (outcome === 'impossible') return `not replayed: ${detail}`
  if (outcome === 'pending') return `${detail}; freshet dlq list shows it if it fails again`
  return `${outcome}: ${detail}`
}

const plainOutcome = ({ entry: { id, latest }, outcome, detail, count }: Outcome): object => ({
  id,
  key: latest.key,
  outcome,
  detail,
  count,
})

function seconds(text: string): number {
  const value = Number(text)
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('--timeout: give seconds, like 60.')
  return value
}
