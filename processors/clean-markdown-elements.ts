/** Names that HTML gives to elements; <T> in prose is not one, and stays. */
export const htmlNames: ReadonlySet<string> = new Set(
  'a abbr address article aside audio b base bdi bdo big blockquote body br button canvas caption center cite code col colgroup dd del details dfn dialog div dl dt em embed fieldset figcaption figure font footer form h1 h2 h3 h4 h5 h6 head header hr html i iframe img input ins kbd label legend li link main map mark meta nav noscript object ol optgroup option p param picture pre q s samp script section select small source span strike strong style sub summary sup svg path table tbody td textarea tfoot th thead time title tr track tt u ul var video wbr'.split(
    ' ',
  ),
)
/** Those that begin and end a line. */
export const breaking: ReadonlySet<string> = new Set(
  'address article aside blockquote br center dd details div dl dt figure footer header hr li main nav ol p pre section summary table tr ul'.split(
    ' ',
  ),
)
/** Those that are dropped with all that is in them. */
export const withContent: ReadonlySet<string> = new Set(['script', 'style', 'svg', 'noscript'])

const entities: Readonly<Record<string, string>> = {
  nbsp: ' ',
  ensp: ' ',
  emsp: ' ',
  thinsp: ' ',
  zwnj: '',
  zwj: '',
  shy: '',
  quot: '"',
  apos: "'",
  gt: '>',
  copy: '©',
  reg: '®',
  trade: '™',
  mdash: '—',
  ndash: '–',
  hellip: '…',
  lsquo: '‘',
  rsquo: '’',
  ldquo: '“',
  rdquo: '”',
  laquo: '«',
  raquo: '»',
  bull: '•',
  middot: '·',
  deg: '°',
  times: '×',
  larr: '←',
  rarr: '→',
  euro: '€',
}

/** Only to what cannot be markup: anything else stays as it is written. */
export function decodeEntity(name: string, follows: string): string | null {
  if (name === 'amp') return /^#?\w{1,8};/.test(follows) ? null : '&'
  if (name === 'lt') return /^[a-zA-Z/!?]/.test(follows) ? null : '<'
  if (!name.startsWith('#')) return entities[name] ?? null
  const code = /^#[xX]/.test(name) ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10)
  const isText = code >= 0xa0 && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff)
  return isText ? String.fromCodePoint(code) : code === 39 || code === 34 ? String.fromCharCode(code) : null
}
