import { blockElements } from './clean-html-elements.ts'

/** Where a block follows the one before: after an empty line, or on the next line. */
type Spacing = 'paragraph' | 'line'

interface Block {
  readonly text: string
  readonly spacing: Spacing
  readonly rank: number
  readonly boilerplate: boolean
}

interface List {
  readonly ordered: boolean
  next: number
}

const headings: ReadonlyMap<string, number> = new Map([1, 2, 3, 4, 5, 6].map((level) => [`h${level}`, level]))
const listElements: ReadonlySet<string> = new Set(['ul', 'ol', 'menu', 'dir'])
const codeElements: ReadonlySet<string> = new Set(['pre', 'listing', 'xmp'])
const cellElements: ReadonlySet<string> = new Set(['td', 'th'])
/** The next of these follows on the next line. */
const ownLine: ReadonlySet<string> = new Set(['li', 'dt', 'dd', 'tr', 'thead', 'tbody', 'tfoot', 'caption', 'summary'])
/** Inside a table cell these are spaces, so that a row stays one line; other blocks end the row there. */
const flatInCells: ReadonlySet<string> = new Set(['p', 'div', 'section', 'center', 'figure', 'address'])

/** Main content is taken for the page's text if it holds at least this share of what is not furniture; articles, which may be mere teasers, more. */
const mainShareMin = 0.1
const articleShareMin = 0.5

/** A cell with more text than this is layout, not data: its paragraphs stay apart. */
const flatCellCharsMax = 400
const listDepthMax = 8

/** Puts the text of a page together, block by block, and then chooses the blocks that are its content. */
export class HtmlBlocks {
  firstHeading: string | null = null
  readonly #blocks: Block[] = []
  /** The line that is being written, and its length. */
  #line: string[] = []
  #chars = 0
  #spacing: Spacing = 'line'
  /** Bullet or number that the next line gets. */
  #bullet = ''
  #heading = 0
  /** Cells that are open, and cells begun in the present row. */
  #cells = 0
  #rowCells = 0
  #code = 0
  readonly #lists: List[] = []
  #rank = 0
  #boilerplate = false

  /** Where on the page the text stands that follows. */
  region(rank: number, boilerplate: boolean): void {
    if (rank === this.#rank && boilerplate === this.#boilerplate) return
    if (this.#code === 0) this.endLine('paragraph')
    this.#rank = rank
    this.#boilerplate = boilerplate
  }

  text(text: string): void {
    this.#line.push(text)
    this.#chars += text.length
  }

  lineBreak(): void {
    if (this.#code > 0) this.text('\n')
    else if (this.#heading > 0 || this.#cells > 0) this.text(' ')
    else this.endLine('line')
  }

  open(name: string, start: string | undefined): void {
    if (cellElements.has(name)) {
      this.#cells++
      this.text(this.#rowCells++ > 0 ? ' | ' : ' ')
      return
    }
    this.#boundary(name)
    if (headings.has(name)) this.#heading = headings.get(name)!
    else if (listElements.has(name))
      this.#lists.push({ ordered: name === 'ol', next: Number.parseInt(start ?? '1', 10) || 1 })
    else if (name === 'li') this.#bullet = this.#nextBullet()
    else if (codeElements.has(name)) this.#code++
  }

  close(name: string): void {
    if (cellElements.has(name)) {
      this.#cells--
      return
    }
    if (codeElements.has(name) && this.#code === 1) this.#endCode()
    this.#boundary(name)
    if (headings.has(name)) this.#heading = 0
    else if (listElements.has(name)) this.#lists.pop()
    else if (name === 'li') this.#bullet = ''
    else if (codeElements.has(name)) this.#code--
  }

  /** Ends the line that is being written; the next one follows it after an empty line at least if it is said so once. */
  endLine(next: Spacing): void {
    const text = this.#takeLine().replace(/\s+/g, ' ').trim()
    if (/[\p{L}\p{N}]/u.test(text)) this.#pushLine(text)
    if (next === 'paragraph') this.#spacing = 'paragraph'
    this.#rowCells = 0
  }

  /** The text of the blocks that are the page's content. */
  content(): string {
    return chooseContent(this.#blocks)
      .map(({ text, spacing }, i) => (i === 0 ? '' : spacing === 'line' ? '\n' : '\n\n') + text)
      .join('')
  }

  #boundary(name: string): void {
    if (!blockElements.has(name)) return
    if (this.#code > 0) {
      if (this.#chars > 0 && !this.#line.at(-1)?.endsWith('\n')) this.text('\n')
    } else if (this.#cells > 0 && flatInCells.has(name) && this.#chars <= flatCellCharsMax) this.text(' ')
    else this.endLine(ownLine.has(name) || (this.#lists.length > 0 && !headings.has(name)) ? 'line' : 'paragraph')
  }

  #pushLine(text: string): void {
    if (this.#heading > 0) {
      const heading = text.replace(/\s*[¶§]$|\s+#$/, '')
      this.firstHeading ??= heading
      this.#spacing = 'paragraph'
      this.#push(`${'#'.repeat(this.#heading)} ${heading}`)
      this.#spacing = 'paragraph'
    } else {
      this.#push(this.#bullet + text)
      this.#bullet = ''
    }
  }

  #endCode(): void {
    const code = this.#takeLine()
      .replace(/\r\n?/g, '\n')
      .replace(/^(?:[ \t]*\n)+/, '')
      .trimEnd()
    if (code === '') return
    const ticks = (code.match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 2)
    const fence = '`'.repeat(ticks + 1)
    this.#spacing = 'paragraph'
    this.#push(`${fence}\n${code}\n${fence}`)
    this.#spacing = 'paragraph'
  }

  #push(text: string): void {
    this.#blocks.push({ text, spacing: this.#spacing, rank: this.#rank, boilerplate: this.#boilerplate })
    this.#spacing = 'line'
  }

  #takeLine(): string {
    const line = this.#line.join('')
    this.#line = []
    this.#chars = 0
    return line
  }

  #nextBullet(): string {
    const list = this.#lists.at(-1)
    const indent = '  '.repeat(Math.min(Math.max(this.#lists.length - 1, 0), listDepthMax))
    return list?.ordered ? `${indent}${list.next++}. ` : `${indent}- `
  }
}

/** Main content, else the articles, else all but furniture, else everything: the first that is a fair share of the page. */
function chooseContent(blocks: readonly Block[]): readonly Block[] {
  const own = blocks.filter(({ boilerplate }) => !boilerplate)
  const size = chars(own)
  const main = own.filter(({ rank }) => rank === 2)
  if (main.length > 0 && chars(main) >= size * mainShareMin) return main
  const articles = own.filter(({ rank }) => rank >= 1)
  if (articles.length > 0 && chars(articles) >= size * articleShareMin) return articles
  return own.length > 0 ? own : blocks
}

function chars(blocks: readonly Block[]): number {
  return blocks.reduce((sum, { text }) => sum + text.length, 0)
}
