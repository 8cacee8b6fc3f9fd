import { Command, InvalidArgumentError, Option } from 'commander'
import type { SearchHit, SearchRequest } from '../client/client.ts'
import { withClient } from './connection.ts'

export function search(): Command {
  return new Command('search')
    .description('Searches the documents.')
    .argument('<query...>', 'what to look for')
    .option('-k, --k <number>', 'how many documents', whole, 5)
    .addOption(new Option('-m, --mode <mode>', 'how to look').choices(['hybrid', 'dense', 'keyword']).default('hybrid'))
    .option('-f, --filter <json>', 'only documents with these attributes, as JSON', json)
    .option('-a, --after <token>', 'at least as fresh as this token')
    .option('--chunks', 'every matching chunk, not only the best one of each document')
    .option('--json', 'the answer as it came')
    .addHelpText('after', '\nExample: freshet search "commit offsets manually after processing a batch" -k 3')
    .action(
      async (
        words: string[],
        options: {
          k: number
          mode: 'hybrid'
          filter?: Record<string, unknown>
          after?: string
          chunks?: true
          json?: true
        },
      ) => {
        const request: SearchRequest = {
          query: words.join(' '),
          k: options.k,
          mode: options.mode,
          ...(options.chunks === undefined && { groupBy: 'document' as const }),
          ...(options.filter && { filter: options.filter }),
          ...(options.after && { freshness: { after: options.after } }),
        }
        const answer = await withClient((client) => client.search(request))
        if (options.json) return console.log(JSON.stringify(answer, null, 2))
        if (answer.hits.length === 0) console.log('Nothing was found.')
        for (const [i, hit] of answer.hits.entries()) console.log(inWords(hit, i + 1))
        const { staleMs, complete } = answer.asOf
        const freshness = complete
          ? staleMs === 0
            ? 'up to date'
            : `${Math.round(staleMs)} ms behind`
          : 'the index is not complete yet'
        console.log(
          `${answer.hits.length} results in ${Math.round(answer.ms.embed + answer.ms.search)} ms, ${freshness}`,
        )
      },
    )
}

function inWords({ documentId, score, text, title, url }: SearchHit, rank: number): string {
  const line = text.replace(/\s+/g, ' ').slice(0, SNIPPET_CHARS)
  return [
    `${rank}. ${title ?? documentId}  (${score.toFixed(4)})`,
    `   ${documentId}${url ? `  ${url}` : ''}`,
    `   ${line}${text.length > SNIPPET_CHARS ? ' …' : ''}`,
    '',
  ].join('\n')
}

const SNIPPET_CHARS = 240

function whole(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('give a whole number.')
  return Number(text)
}

export function json(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  } catch {}
  throw new InvalidArgumentError('give one JSON object, like {"language":"en"}.')
}
