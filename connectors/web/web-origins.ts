import { createHash } from 'node:crypto'
import { reasonOf } from '../../streams/errors.ts'
import { type Columns, documentOfRow } from '../files/columns.ts'
import { checkId, type DocumentFields, documentOfJson } from '../files/json-lines.ts'
import type { Ledger } from '../files/ledger.ts'
import { FILE_BYTES_MAX, hashOf } from '../files/read.ts'
import type { Found, FoundItem, Origin } from '../origin.ts'
import { type Answer, textOf, type Validators, type Web } from './ask.ts'
import { type FeedEntry, parseFeed } from './feed.ts'

/** An address that is asked again and again. */
export interface WebOrigin extends Origin {
  readonly url: string
  /** The server wants not to be asked before that time; null: it did not say. Known when it was asked. */
  readonly retryAfterMs: number | null
}

type New = Extract<Answer, { is: 'new' }>

/** Each entry is a document. Entries that a feed does not list any more stay: it lists only the latest. */
export const feedOrigin = (url: string, ledger: Ledger, web: Web): WebOrigin =>
  webOrigin(url, ledger, web, (answer) => ({ found: inFeed(url, answer), isWhole: false }))

/** A page or a text is a document; a JSON array has one for each object, and what it does not list any more is gone. */
export const pollOrigin = (url: string, ledger: Ledger, web: Web, columns?: Columns): WebOrigin =>
  webOrigin(url, ledger, web, (answer) =>
    isJson(answer) ? inJson(url, answer, columns) : { found: inPage(url, answer), isWhole: false },
  )

interface Read {
  readonly found: readonly Found[]
  readonly isWhole: boolean
}

function webOrigin(url: string, ledger: Ledger, web: Web, read: (answer: New) => Read): WebOrigin {
  let isWhole = false
  let retryAfterMs: number | null = null
  let next: Validators | null = null
  return {
    url,
    ledger,
    get isWhole() {
      return isWhole
    },
    get retryAfterMs() {
      return retryAfterMs
    },
    async *found() {
      isWhole = false
      next = null
      const answer = await web.ask(url, ledger.state as Validators | null)
      retryAfterMs = answer.is === 'failed' ? answer.retryAfterMs : null
      if (answer.is === 'failed') yield { problem: { path: url, reason: answer.reason } }
      // Only what was read to its end is known by its validators.
      if (answer.is === 'gone') isWhole = true
      if (answer.is !== 'new') return
      // Killed half way through, the next run must not be told that nothing is new since the answer before this one.
      ledger.setState(null)
      try {
        const all = read(answer)
        yield* all.found
        isWhole = all.isWhole
        next = answer.validators
      } catch (error) {
        yield { problem: { path: url, reason: `cannot be read (${reasonOf(error)})` } }
      }
    },
    // Saved behind all documents of the answer: a run that is killed asks for the whole answer again.
    completed() {
      if (next !== null) ledger.setState(next)
    },
  }
}

function inFeed(url: string, { body, contentType, url: base }: New): Found[] {
  const feed = parseFeed(textOf(body, contentType), base)
  if (feed === null) return [{ problem: { path: url, reason: 'is no RSS or Atom feed; give --poll for a page' } }]
  if (feed.entries.length > ENTRIES_MAX)
    return [{ problem: { path: url, reason: `has ${feed.entries.length} entries, more than ${ENTRIES_MAX}` } }]
  const ids = new Set<string>()
  return feed.entries.flatMap((entry): Found[] => {
    const id = idOf(url, entry.id)
    if (ids.has(id)) return []
    ids.add(id)
    return [itemOf(url, id, fieldsOf(url, entry, feed.language))]
  })
}

const ENTRIES_MAX = 10_000

function fieldsOf(feed: string, { title, link, html, published }: FeedEntry, language: string | null): DocumentFields {
  return {
    text: html.trim() === '' ? (title ?? '') : html,
    contentType: html.trim() === '' ? 'text/plain' : 'text/html',
    title: title?.slice(0, TITLE_CHARS_MAX) ?? null,
    url: link,
    language: language !== null && isLanguage(language) ? language : null,
    attributes: { feed, ...(published !== null && { published }) },
  }
}

const TITLE_CHARS_MAX = 1_000

function isLanguage(tag: string): boolean {
  try {
    return Intl.getCanonicalLocales(tag).length === 1
  } catch {
    return false
  }
}

function inPage(url: string, { body, contentType }: New): Found[] {
  const kind = contentType.split(';')[0]!.trim().toLowerCase()
  const known = /^(text\/(html|plain|markdown)|application\/xhtml\+xml)?$/.test(kind)
  if (!known) return [{ problem: { path: url, reason: `is ${kind}; give a page, a text, JSON, or --feed for a feed` } }]
  const type = kind === 'text/plain' || kind === 'text/markdown' ? kind : 'text/html'
  return [itemOf(url, nameOf(url), { text: textOf(body, contentType), contentType: type, url, attributes: {} })]
}

const isJson = ({ contentType }: New): boolean => /^application\/([\w.+-]+\+)?json\b/i.test(contentType)

function inJson(url: string, { body, contentType }: New, columns: Columns | undefined): Read {
  const json: unknown = JSON.parse(textOf(body, contentType))
  if (!Array.isArray(json)) throw new Error('is no JSON array; give an address that answers with a list of objects')
  const ids = new Set<string>()
  const found = json.map((each, i): Found => {
    const row =
      columns === undefined || typeof each !== 'object' || each === null
        ? documentOfJson(each, FILE_BYTES_MAX)
        : documentOfRow(each as Record<string, unknown>, columns)
    const wrong = 'reason' in row ? row.reason : ids.has(row.id) ? `id: ${row.id} comes twice` : checkId(row.id)
    if (wrong !== null) return { problem: { path: url, line: i + 1, reason: wrong } }
    const { id, fields } = row as { id: string; fields: DocumentFields | null }
    ids.add(id)
    return { id, fields, hash: hashOf(fields), path: url }
  })
  // What cannot be read may be any of those that are missing.
  return { found, isWhole: !found.some((each) => 'problem' in each) }
}

function itemOf(
  url: string,
  id: string,
  fields: DocumentFields,
): FoundItem | { problem: { path: string; reason: string } } {
  const bytes = Buffer.byteLength(fields.text)
  if (bytes > FILE_BYTES_MAX)
    return { problem: { path: url, reason: `${id}: has ${bytes} bytes, more than ${FILE_BYTES_MAX}` } }
  return { id, fields, hash: hashOf(fields), path: url }
}

/** The feed's address and the entry's own id, which another feed may use too. */
function idOf(url: string, entry: string): string {
  const id = `${nameOf(url)}#${entry}`
  return Buffer.byteLength(id) <= ID_BYTES_MAX && checkId(id) === null
    ? id
    : `${nameOf(url)}#${createHash('sha256').update(entry).digest('hex')}`
}

/** An address without its scheme and fragment, as far as an id has room. */
function nameOf(url: string): string {
  const { host, pathname, search } = new URL(url)
  const name = `${host}${pathname}${search}`
  return name.length <= NAME_CHARS_MAX ? name : `${host}/${createHash('sha256').update(name).digest('hex')}`
}

/** With the tenant's name, up to 64 characters, a key has 512. */
const ID_BYTES_MAX = 440
const NAME_CHARS_MAX = 300
