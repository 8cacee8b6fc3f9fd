import { resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { type AttributeColumn, attributeColumn, type Columns } from '../connectors/files/columns.ts'
import { extensions } from '../connectors/files/list.ts'
import { ingestOnce } from './ingest-once.ts'
import { ingestPreview } from './ingest-preview.ts'
import { ingestWatching } from './ingest-watching.ts'
import { whole } from './wish.ts'

export function ingest(): Command {
  return new Command('ingest')
    .description(
      'Publishes files, folders, feeds and pages, only what is new or changed, and deletes what is gone from a folder ingested before.',
    )
    .argument('[path...]', `files (${extensions.join(', ')}) and folders; - for JSON lines from standard input`)
    .option('--feed <url>', 'an RSS or Atom feed: each entry is a document; may be given again', several(address))
    .option('--poll <url>', 'a page, or a JSON array of documents; may be given again', several(address))
    .option('--watch', 'goes on until Ctrl-C: what changes in folders is published at once, addresses are asked again')
    .option('--every <seconds>', 'how often addresses are asked, unless they want more time', seconds, 300)
    .option('--allow-private', 'addresses of this machine and its network may be asked too')
    .option('--id <column>', 'of a table or of JSON objects: the document’s id')
    .option('--text <column>', 'as above: its text; may be given again', several(String))
    .option('--title <column>', 'as above: its title')
    .option('--url <column>', 'as above: where a person can read it')
    .option('--language <column>', 'as above: its language')
    .option(
      '--attribute <column>',
      'as above, column or column:number or column:boolean; may be given again',
      several(attributeColumn),
    )
    .option('--name <name>', 'of what comes from standard input: the next run of that name publishes only what changed')
    .option('--all', 'publish what is unchanged too')
    .addOption(new Option('--json', 'the summary as JSON; with --watch a line for each change'))
    .addHelpText(
      'after',
      '\nExamples: freshet ingest docs README.md --watch' +
        '\n          freshet ingest goods.csv --id sku --title name --text description --attribute price:number' +
        '\n          freshet ingest --feed https://example.org/feed.xml --watch' +
        '\n          tail -F events.jsonl | freshet ingest -',
    )
    .action(async (paths: string[], options: IngestOptions, command: Command) => {
      const wrong = misuse(paths, options)
      if (wrong !== null) command.error(`error: ${wrong}`, { exitCode: 2 })
      const task = taskOf(paths, options)
      await (options.watch ? ingestWatching(task) : ingestOnce(task))
    })
    .addCommand(ingestPreview())
}

/** What is to be ingested, and how. */
export interface IngestTask {
  /** Absolute. */
  readonly paths: readonly string[]
  readonly feeds: readonly string[]
  readonly polls: readonly string[]
  /** Standard input too. */
  readonly stdin: boolean
  /** Of standard input. */
  readonly name: string | undefined
  readonly columns: Columns | undefined
  readonly everyMs: number
  readonly allowPrivate: boolean
  readonly all: boolean
  readonly json: boolean
}

interface IngestOptions {
  readonly feed?: string[]
  readonly poll?: string[]
  readonly watch?: true
  readonly every: number
  readonly allowPrivate?: true
  readonly id?: string
  readonly text?: string[]
  readonly title?: string
  readonly url?: string
  readonly language?: string
  readonly attribute?: AttributeColumn[]
  readonly name?: string
  readonly all?: true
  readonly json?: true
}

function misuse(
  paths: readonly string[],
  { feed, poll, watch, id, text, title, url, language, attribute, name }: IngestOptions,
) {
  if (paths.length + (feed?.length ?? 0) + (poll?.length ?? 0) === 0)
    return 'there is nothing to ingest; give files, folders, -, --feed or --poll'
  if ((id === undefined) !== (text === undefined)) return '--id and --text belong together; give both, or neither'
  if (id === undefined && [title, url, language, attribute].some((each) => each !== undefined))
    return '--title, --url, --language and --attribute are of a table; give --id and --text too'
  if (watch && paths.includes('-')) return 'standard input is read to its end anyway; leave out --watch'
  if (name !== undefined && !paths.includes('-')) return '--name is that of standard input; give - too'
  return null
}

function taskOf(paths: readonly string[], options: IngestOptions): IngestTask {
  const { feed = [], poll = [], every, allowPrivate, id, text, attribute = [], name, all, json } = options
  const { title, url, language } = options
  return {
    paths: paths.filter((path) => path !== '-').map((path) => resolve(path)),
    feeds: [...new Set(feed)],
    polls: [...new Set(poll)],
    stdin: paths.includes('-'),
    name,
    columns: id === undefined ? undefined : { id, text: text ?? [], title, url, language, attributes: attribute },
    everyMs: every * 1_000,
    allowPrivate: allowPrivate === true,
    all: all === true,
    json: json === true,
  }
}

/** An option that may be given again. */
const several =
  <T>(parse: (text: string) => T) =>
  (text: string, before: T[] = []): T[] => [...before, parse(text)]

function address(text: string): string {
  const url = URL.parse(text)
  if (url === null || !/^https?:$/.test(url.protocol)) throw new InvalidArgumentError('give an http or https address.')
  if (url.username !== '' || url.password !== '') throw new InvalidArgumentError('give an address without a password.')
  return url.href
}

function seconds(text: string): number {
  const value = whole(text)
  if (value < EVERY_SECONDS_MIN) throw new InvalidArgumentError(`give at least ${EVERY_SECONDS_MIN}.`)
  return value
}

/** Whoever is asked more often takes us for an attack. */
const EVERY_SECONDS_MIN = 5
