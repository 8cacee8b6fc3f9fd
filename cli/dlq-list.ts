import { Command } from 'commander'
import { grouped, type State, shortId, type Wish } from '../maintenance/dead-letters.ts'
import { iso, type ListedLetters, listLetters, plain, type Stated, wishOptions } from './dlq-letters.ts'
import { withOperator } from './operator.ts'

export function dlqList(): Command {
  const command = new Command('list')
    .description('Lists the open dead letters, grouped by reason.')
    .option('--entries', 'one line for each, not one for each reason')
    .option('--all', 'those too that were replayed, superseded or discarded')
    .option('--json', 'as JSON')
    .addHelpText('after', '\nExample: freshet dlq list --since 2h --class schema')
  for (const option of wishOptions()) command.addOption(option)
  return command.action(async ({ entries, all, json, ...wish }: Wish & Options) => {
    const listed = await withOperator((operator) => listLetters(operator, wish))
    const shown = listed.stated.filter(({ state }) => all || state === 'open')
    if (json) console.log(JSON.stringify(jsonOf(listed, shown), null, 2))
    else print(listed, shown, entries === true || all === true)
  })
}

interface Options {
  readonly entries?: true
  readonly all?: true
  readonly json?: true
}

function jsonOf({ letters, stated, unlooked }: ListedLetters, shown: readonly Stated[]): object {
  const groups = grouped(shown.map(({ entry }) => entry))
  return {
    groups: groups.map((group) => ({ ...group, first: iso(group.first), last: iso(group.last) })),
    entries: shown.map(plain),
    hidden: countsOf(stated.filter((each) => !shown.includes(each))),
    dropped: letters.dropped,
    unreadable: letters.unreadable,
    ...(unlooked !== null && { unlooked }),
  }
}

function print({ letters, stated, unlooked }: ListedLetters, shown: readonly Stated[], single: boolean): void {
  if (single) for (const each of shown) console.log(lineOf(each))
  else {
    for (const { entries, letters: count, stage, class: letterClass, reason, first, last, example } of grouped(
      shown.map(({ entry }) => entry),
    )) {
      const repeated = count > entries ? ` (refused ${count} times)` : ''
      console.log(`${String(entries).padStart(6)}  ${letterClass}, ${stage}${repeated}: ${reason}`)
      console.log(`        first ${iso(first)}, last ${iso(last)}, such as ${shortId(example)}`)
    }
  }
  if (shown.length === 0) console.log('No dead letters are open.')
  const hidden = countsOf(stated.filter((each) => !shown.includes(each)))
  const parts = Object.entries(hidden).map(([state, count]) => `${count} ${state}`)
  if (parts.length > 0) console.log(`Not shown: ${parts.join(', ')} (--all shows them).`)
  if (letters.dropped > 0) console.log(`Not kept while reading: ${letters.dropped} older letters.`)
  if (letters.unreadable > 0) console.log(`Not readable: ${letters.unreadable} records of the topic.`)
  if (unlooked !== null) console.log(`Superseded ones may be among the open: ${unlooked}.`)
}

function lineOf({ entry: { id, latest, count }, state, why }: Stated): string {
  const { stage, class: letterClass, reason, key, refusedAt } = latest
  const times = count > 1 ? ` ${count} times` : ''
  const what = state === 'open' ? '' : `  [${state}${why === '' ? '' : `: ${why}`}]`
  return `${shortId(id)}  ${iso(refusedAt)}  ${letterClass}, ${stage}${times}  ${key ?? 'no key'}: ${reason}${what}`
}

function countsOf(stated: readonly Stated[]): Partial<Record<State, number>> {
  const counts: Partial<Record<State, number>> = {}
  for (const { state } of stated) counts[state] = (counts[state] ?? 0) + 1
  return counts
}
