import { Command } from 'commander'
import type { AsOf, Place, SearchHit, SearchRequest } from '../client/client.ts'
import { withClient } from './connection.ts'
import { highlighted } from './highlighted.ts'
import { printable, type WishOptions, whole, wishOf, withWish } from './wish.ts'

export function search(): Command {
  return withWish(new Command('search').description('Searches the documents.'))
    .option('-a, --after <token>', 'at least as fresh as this token')
    .option('--max-staleness <ms>', 'at most that old, or an error', whole)
    .option('--timeout <ms>', 'how long to wait until it is that fresh', whole)
    .option('--exact', 'compare every point, instead of those that an approximate index leads to')
    .option('--explain', 'each hit with its place and score in both lists, and what took how long')
    .option(
      '--highlight',
      'the words of the query are marked, where colours are shown; with --json each hit has their places',
    )
    .option('--cursor <cursor>', '"" for the first of several pages of -k hits, then what the page before says')
    .option('--json', 'the answer as it came')
    .addHelpText(
      'after',
      '\nExamples: freshet search "commit offsets manually after processing a batch" -k 3' +
        '\n          freshet search returns --filter team=support --filter "year>=2024" --max-staleness 2000' +
        '\n          freshet search returns --highlight --cursor ""',
    )
    .action(async (words: string[], options: SearchOptions, command: Command) => {
      if (options.after !== undefined && options.maxStaleness !== undefined)
        command.error('error: --after and --max-staleness cannot both be demanded; give one of them')
      if (options.timeout !== undefined && options.after === undefined && options.maxStaleness === undefined)
        command.error('error: --timeout is for --after and --max-staleness; give one of them')
      const { exact, explain, highlight, cursor } = options
      const request = {
        ...wishOf(words, options),
        ...(exact && { exact }),
        ...(explain && { explain }),
        ...(highlight && { highlight }),
        ...(cursor !== undefined && { cursor }),
        ...freshnessOf(options),
      }
      const answer = await withClient((client) => client.search(request))
      if (options.json) return console.log(JSON.stringify(answer, null, 2))
      if (answer.hits.length === 0) console.log('Nothing was found.')
      for (const [i, hit] of answer.hits.entries()) console.log(inWords(hit, i + 1))
      const { embed, search, wait } = answer.ms
      console.log(
        `${answer.hits.length} results in ${Math.round(embed + search + (wait ?? 0))} ms, ${ageOf(answer.asOf)}`,
      )
      if (explain) console.log(`embedding ${embed} ms, searching ${search} ms, waiting and the rest ${wait ?? 0} ms`)
      if (answer.next !== undefined) console.log(`The next page: the same with --cursor ${answer.next}`)
    })
}

interface SearchOptions extends WishOptions {
  readonly after?: string
  readonly maxStaleness?: number
  readonly timeout?: number
  readonly exact?: true
  readonly explain?: true
  readonly highlight?: true
  readonly cursor?: string
  readonly json?: true
}

function freshnessOf({ after, maxStaleness, timeout }: SearchOptions): Pick<SearchRequest, 'freshness'> {
  const timeoutMs = timeout !== undefined && { timeoutMs: timeout }
  if (after !== undefined) return { freshness: { after, ...timeoutMs } }
  if (maxStaleness !== undefined) return { freshness: { maxStalenessMs: maxStaleness, ...timeoutMs } }
  return {}
}

export function ageOf({ complete, staleMs }: AsOf): string {
  if (!complete) return 'the index is not complete yet'
  return staleMs === 0 ? 'up to date' : `${Math.round(staleMs)} ms behind`
}

function inWords({ documentId, score, text, title, url, highlights = [], explain }: SearchHit, rank: number): string {
  return [
    `${rank}. ${printable(title ?? documentId)}  (${score.toFixed(4)})`,
    `   ${printable(documentId)}${url ? `  ${printable(url)}` : ''}`,
    `   ${highlighted(text, highlights, { charsMax: SNIPPET_CHARS, mark: marked })}`,
    ...(explain ? [`   dense ${placeOf(explain.dense)}, keyword ${placeOf(explain.keyword)}`] : []),
    '',
  ].join('\n')
}

const placeOf = (place: Place | null): string =>
  place === null ? 'not listed' : `${place.rank}. with ${place.score.toFixed(4)}`

/** A file that is written to gets the plain words. */
const marked = (word: string): string =>
  process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[1;33m${word}\x1b[0m` : word

const SNIPPET_CHARS = 240
