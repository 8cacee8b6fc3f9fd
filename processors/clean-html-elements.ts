/** What each kind of HTML element means for the text of a page. */

export type TagAttributes = ReadonlyMap<string, string>

/** The only attributes that are looked at. */
export const readAttributes: ReadonlySet<string> = new Set([
  'id',
  'class',
  'role',
  'hidden',
  'aria-hidden',
  'style',
  'lang',
  'open',
  'start',
])

const set = (names: string): ReadonlySet<string> => new Set(names.split(' '))

/** Elements without an end tag. */
export const voidElements = set('area base br col embed frame hr img input link meta param source track wbr')

/** Their content is never text for readers. */
const droppedElements = set(
  'script style noscript noembed noframes template svg iframe object canvas audio video select button textarea datalist map annotation annotation-xml rp applet',
)

/** Begin and end a line. */
export const blockElements = set(
  'address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure footer form h1 h2 h3 h4 h5 h6 header hgroup hr li main menu nav ol p pre search section summary table tbody tfoot thead tr ul html title listing xmp',
)

/** An end tag that may be left out: opening the key closes the nearest of the values, looked for up to the nearest of `within`. */
export const impliedEnds: ReadonlyMap<string, { closes: ReadonlySet<string>; within: ReadonlySet<string> }> = new Map(
  [
    ['li', 'li', 'ul ol menu dir'],
    ['dt', 'dt dd', 'dl'],
    ['dd', 'dt dd', 'dl'],
    ['tr', 'tr', 'table'],
    ['td', 'td th', 'tr table'],
    ['th', 'td th', 'tr table'],
    ['tbody', 'thead tbody tfoot caption', 'table'],
    ['tfoot', 'thead tbody tfoot caption', 'table'],
    ['option', 'option', 'select'],
    ['body', 'head', 'html'],
  ].map(([name, closes, within]) => [name!, { closes: set(closes!), within: set(within!) }]),
)

/** `main` ranks above `article`, and both above the rest of the page. */
export function contentRank(name: string, attributes: TagAttributes): number {
  if (name === 'main' || attributes.get('role') === 'main') return 2
  return name === 'article' ? 1 : 0
}

const boilerplateElements = set('nav footer aside menu search')
const boilerplateRoles = set(
  'navigation banner contentinfo complementary search dialog alertdialog menu menubar toolbar tablist',
)
const boilerplateNames = set(
  'nav navbar navigation menu sidebar sphinxsidebar footer site-footer site-header breadcrumb breadcrumbs pagination pager skip-link skip-to-content mw-jump-link related share social advertisement ads toc table-of-contents',
)
const cookies = /(?:^|[\s_-])(?:cookie|consent|gdpr|onetrust|cookiebot)/i
const notices = /banner|notice|bar|popup|modal|dialog|overlay|message|consent|disclaimer|law|sdk/i

/** Whether an element is furniture around the content. A page's header is; that of an article is not. */
export function isBoilerplate(name: string, attributes: TagAttributes, rank: number): boolean {
  if (boilerplateElements.has(name)) return true
  if (name === 'header') return rank === 0
  if (name === 'html' || name === 'body' || name === 'main' || name === 'article') return false
  if (boilerplateRoles.has(attributes.get('role') ?? '')) return true
  if (attributes.size === 0) return false
  const id = attributes.get('id') ?? ''
  const classes = attributes.get('class') ?? ''
  if (id === '' && classes === '') return false
  if (boilerplateNames.has(id.toLowerCase())) return true
  if (
    classes
      .toLowerCase()
      .split(/\s+/)
      .some((one) => boilerplateNames.has(one))
  )
    return true
  const names = `${id} ${classes}`
  return cookies.test(names) && notices.test(names)
}

/** Whether a reader of the page would not see it, or only as an ornament. */
export function isHidden(name: string, attributes: TagAttributes): boolean {
  if (droppedElements.has(name)) return true
  if (name === 'html' || name === 'body' || attributes.size === 0) return false
  if (attributes.has('hidden') && attributes.get('hidden') !== 'until-found') return true
  if (attributes.get('aria-hidden') === 'true') return true
  if (/(?:^|;)\s*display\s*:\s*none/i.test(attributes.get('style') ?? '')) return true
  return /(?:^|\s)(?:headerlink|mw-editsection|linenos?|anchor-link)(?:\s|$)/.test(attributes.get('class') ?? '')
}
