import { DomUtils, parseDocument } from 'htmlparser2'

type Element = ReturnType<typeof DomUtils.getElementsByTagName>[number]

export interface Feed {
  readonly title: string | null
  readonly language: string | null
  readonly entries: readonly FeedEntry[]
}

export interface FeedEntry {
  /** As the feed says: guid, id, else the link. */
  readonly id: string
  readonly title: string | null
  readonly link: string | null
  /** HTML; empty: it says nothing but its title. */
  readonly html: string
  /** ISO 8601. */
  readonly published: string | null
}

/** Reads RSS 0.9x, 1.0, 2.0 and Atom; null: it is none of them. Entities that a document declares itself are not expanded. Throws only for what is nested too deeply. */
export function parseFeed(xml: string, base: string): Feed | null {
  const root = parseDocument(xml, { xmlMode: true, decodeEntities: true })
  const [feed] = found(['feed', 'atom:feed'], root.children)
  const [rss] = found(['rss', 'rdf:RDF'], root.children)
  const top = feed ?? rss
  if (top === undefined) return null
  const head = feed ?? found(['channel'], top.children)[0] ?? top
  const items = feed
    ? found(['entry', 'atom:entry'], feed.children)
    : [...found(['item'], top.children), ...found(['item'], head === top ? [] : head.children)]
  return {
    title: textIn(head, 'title', 'atom:title'),
    language: textIn(head, 'language', 'dc:language') ?? feed?.attribs['xml:lang'] ?? null,
    entries: items.flatMap((item) => entryOf(item, base) ?? []),
  }
}

function entryOf(item: Element, base: string): FeedEntry | null {
  const link = absolute(linkOf(item), base)
  const id = textIn(item, 'guid', 'id', 'atom:id') ?? item.attribs['rdf:about'] ?? link
  if (id === null) return null
  const published = textIn(item, 'updated', 'atom:updated', 'pubDate', 'published', 'atom:published', 'dc:date')
  return {
    id,
    title: plain(first(item, 'title', 'atom:title')),
    link,
    html: markup(first(item, 'content:encoded', 'content', 'atom:content', 'description', 'summary', 'atom:summary')),
    published: published === null || Number.isNaN(Date.parse(published)) ? null : new Date(published).toISOString(),
  }
}

/** Children of these names, in the order of the document. */
const found = (names: readonly string[], nodes: readonly unknown[]): Element[] =>
  (nodes as Element[]).filter((node) => node.type === 'tag' && names.includes(node.name))

/** The first that is there and not empty, by the order of the names. */
function first(item: Element, ...names: string[]): Element | null {
  for (const name of names) for (const each of found([name], item.children)) if (each.children.length > 0) return each
  return null
}

function textIn(item: Element, ...names: string[]): string | null {
  const element = first(item, ...names)
  const text = element === null ? '' : DomUtils.textContent(element).replace(/\s+/g, ' ').trim()
  return text === '' ? null : text
}

/** Atom's titles may be HTML. */
function plain(element: Element | null): string | null {
  if (element === null) return null
  const text = DomUtils.textContent(element)
  const isHtml = element.attribs.type === 'html' || /<\w+[^>]*>/.test(text)
  const shown = (isHtml ? DomUtils.textContent(parseDocument(text)) : text).replace(/\s+/g, ' ').trim()
  return shown === '' ? null : shown
}

function markup(element: Element | null): string {
  if (element === null) return ''
  if (element.attribs.type === 'xhtml') return DomUtils.getInnerHTML(element)
  const text = DomUtils.textContent(element)
  return element.attribs.type === 'text' ? escaped(text) : text
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

function linkOf(item: Element): string | null {
  const links = found(['link', 'atom:link'], item.children)
  const alternate = links.find(
    ({ attribs: { rel, href } }) => href !== undefined && (rel ?? 'alternate') === 'alternate',
  )
  return alternate?.attribs.href ?? textIn(item, 'link')
}

function absolute(link: string | null, base: string): string | null {
  const url = link === null ? null : URL.parse(link, base)
  return url !== null && /^https?:$/.test(url.protocol) ? url.href : null
}
