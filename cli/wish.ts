import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Wish } from '../client/client.ts'
import { type Filter, filterOf } from './filter.ts'

/** What `search` and `watch` look for, as options. */
export interface WishOptions {
  readonly k: number
  readonly mode: NonNullable<Wish['mode']>
  readonly filter?: Filter
  readonly chunks?: true
  readonly perDocument?: number
  readonly scoreMin?: number
  readonly language?: string
}

export const withWish = (command: Command): Command =>
  command
    .argument('<query...>', 'what to look for')
    .option('-k, --k <number>', 'how many documents', whole, 5)
    .addOption(new Option('-m, --mode <mode>', 'how to look').choices(['hybrid', 'dense', 'keyword']).default('hybrid'))
    .option(
      '-f, --filter <condition>',
      'only documents whose attribute holds: name=value, also != < <= > >=, or JSON; may be given again',
      filterOf,
    )
    .option('--chunks', 'every matching chunk, not only the best one of each document')
    .option('--per-document <number>', 'of each document at most so many chunks', whole)
    .option('--score-min <number>', 'only what scores at least that, in the mode’s own measure', number)
    .option('--language <tag>', 'of the query, for keywords, like en or de')

export function wishOf(words: readonly string[], options: WishOptions): Wish {
  const { k, mode, filter, chunks, perDocument, scoreMin, language } = options
  return {
    query: words.join(' '),
    k,
    mode,
    ...(chunks === undefined && perDocument === undefined && { groupBy: 'document' as const }),
    ...(filter && { filter }),
    ...(perDocument !== undefined && { perDocument }),
    ...(scoreMin !== undefined && { scoreMin }),
    ...(language && { language }),
  }
}

export function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a whole number.')
  return Number(text)
}

function number(text: string): number {
  if (text.trim() === '' || !Number.isFinite(Number(text))) throw new InvalidArgumentError('give a number.')
  return Number(text)
}

/** Text of others on a terminal: one line, and nothing that would steer it. */
export function printable(text: string, charsMax = Number.POSITIVE_INFINITY): string {
  const line = inOneLine(text).trim()
  return line.length > charsMax ? `${line.slice(0, charsMax)} …` : line
}

/** A part of such a text, with the spaces at its ends. */
export const inOneLine = (text: string): string => text.replace(/[\s\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu, ' ')
