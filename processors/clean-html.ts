import { Tokenizer } from 'htmlparser2'
import { HtmlBlocks } from './clean-html-blocks.ts'
import {
  blockElements,
  contentRank,
  impliedEnds,
  isBoilerplate,
  isHidden,
  readAttributes,
  voidElements,
} from './clean-html-elements.ts'
import type { FoundText } from './clean-text.ts'

/** Elements nested deeper belong to the last one that counts. Browsers stop at 512; real pages stay below 100. */
const depthMax = 256

interface OpenElement {
  readonly name: string
  /** Its text is not for readers. */
  readonly hidden: boolean
  /** 2 in main, 1 in an article, else 0. */
  readonly rank: number
  readonly boilerplate: 'no' | 'form' | 'yes'
}

/**
 * The text of a page: headings as `# ` lines, list items as `- ` lines, table rows with | between cells, code between fences;
 * scripts, forms and what stands around the main content are dropped. Never fails: broken HTML is read as far as it goes.
 *
 * It reads tokens and keeps its own stack. Everything that builds a tree of the page first is at least quadratic in the depth of nesting
 * (half a megabyte of open tags takes html-to-text and Readability more than 8 s or the whole stack).
 */
export function htmlToText(html: string): FoundText {
  const page = new HtmlPage(html)
  const tokenizer = new Tokenizer({ decodeEntities: true }, page)
  tokenizer.write(html)
  tokenizer.end()
  return page.finish()
}

class HtmlPage {
  readonly #html: string
  readonly #open: OpenElement[] = []
  #deeper = 0
  readonly #blocks = new HtmlBlocks()
  readonly #titles: string[] = []
  #titleDone = false
  #language: string | null = null
  /** The tag that is being read. */
  #tag = ''
  #attributes = new Map<string, string>()
  #attribute = ''
  #value: string[] = []

  constructor(html: string) {
    this.#html = html
  }

  finish(): FoundText {
    this.#closeDownTo(0)
    this.#blocks.endLine('paragraph')
    const title = this.#titles.join('').trim() || this.#blocks.firstHeading
    return { text: this.#blocks.content(), title, language: this.#language }
  }

  ontext(start: number, end: number): void {
    this.#text(this.#html.slice(start, end))
  }

  ontextentity(codepoint: number): void {
    // References to what is no character are read as U+FFFD; that is no sign of text decoded wrongly.
    if (codepoint !== 0xfffd) this.#text(String.fromCodePoint(codepoint))
  }

  oncdata(start: number, end: number, endOffset: number): void {
    this.#text(this.#html.slice(start, end - endOffset))
  }

  onopentagname(start: number, end: number): void {
    this.#tag = this.#html.slice(start, end).toLowerCase()
    this.#attributes = new Map()
  }

  onattribname(start: number, end: number): void {
    this.#attribute = this.#html.slice(start, Math.min(end, start + 16)).toLowerCase()
    this.#value = []
  }

  onattribdata(start: number, end: number): void {
    if (readAttributes.has(this.#attribute)) this.#value.push(this.#html.slice(start, end))
  }

  onattribentity(codepoint: number): void {
    if (readAttributes.has(this.#attribute)) this.#value.push(String.fromCodePoint(codepoint))
  }

  onattribend(): void {
    if (readAttributes.has(this.#attribute) && !this.#attributes.has(this.#attribute))
      this.#attributes.set(this.#attribute, this.#value.join('').trim())
  }

  onopentagend(): void {
    this.#openElement(this.#tag, this.#attributes)
  }

  /** HTML ignores the slash of <div/>. Elements of SVG and MathML that end so have no text of their own, and are closed with their parent. */
  onselfclosingtag(): void {
    this.#openElement(this.#tag, this.#attributes)
    if (this.#insideForeign()) this.#closeElement(this.#tag)
  }

  onclosetag(start: number, end: number): void {
    const name = this.#html.slice(start, end).toLowerCase()
    if (name === 'br') this.#blocks.lineBreak()
    else this.#closeElement(name)
  }

  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  get #top(): OpenElement | undefined {
    return this.#open.at(-1)
  }

  #insideForeign(): boolean {
    return this.#open.some(({ name }) => name === 'svg' || name === 'math')
  }

  #text(text: string): void {
    const top = this.#top
    if (top?.hidden) return
    if (top?.name !== 'title') this.#blocks.text(text)
    else if (!this.#titleDone) this.#titles.push(text)
  }

  #openElement(name: string, attributes: Map<string, string>): void {
    if (name === 'html') this.#language ??= attributes.get('lang') || null
    this.#closeImplied(name)
    const parent = this.#top
    const hidden = parent?.hidden || isHidden(name, attributes)
    if (voidElements.has(name)) {
      if (hidden) return
      if (name === 'br') this.#blocks.lineBreak()
      else if (name === 'hr') this.#blocks.endLine('paragraph')
      return
    }
    if (this.#open.length >= depthMax) {
      this.#deeper++
      if (blockElements.has(name) && !hidden) this.#blocks.endLine('paragraph')
      return
    }
    const entered = contentRank(name, attributes)
    const rank = Math.max(parent?.rank ?? 0, entered)
    const boilerplate = furniture(name, attributes, parent, entered)
    this.#open.push({ name, hidden, rank, boilerplate })
    if (!hidden) this.#blocks.open(name, attributes.get('start'))
    this.#blocks.region(rank, boilerplate !== 'no')
  }

  #closeImplied(name: string): void {
    if (this.#top?.name === 'p' && blockElements.has(name)) this.#closeElement('p')
    const implied = impliedEnds.get(name)
    if (implied === undefined || this.#deeper > 0) return
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const { name: open } = this.#open[i]!
      if (implied.closes.has(open)) this.#closeDownTo(i)
      if (implied.closes.has(open) || implied.within.has(open)) return
    }
  }

  #closeElement(name: string): void {
    if (voidElements.has(name)) return
    if (this.#deeper > 0) {
      this.#deeper--
      if (blockElements.has(name) && !this.#top?.hidden) this.#blocks.endLine('paragraph')
      return
    }
    const i = this.#open.findLastIndex((open) => open.name === name)
    if (i >= 0) this.#closeDownTo(i)
  }

  #closeDownTo(depth: number): void {
    while (this.#open.length > depth) {
      const { name, hidden } = this.#open.pop()!
      if (name === 'title' && !hidden && this.#titles.join('').trim() !== '') this.#titleDone = true
      if (!hidden) this.#blocks.close(name)
    }
    this.#blocks.region(this.#top?.rank ?? 0, (this.#top?.boilerplate ?? 'no') !== 'no')
  }
}

/** Main content counts wherever it stands; an article also inside a form, since some systems wrap the whole page in one. */
function furniture(
  name: string,
  attributes: ReadonlyMap<string, string>,
  parent: OpenElement | undefined,
  entered: number,
): OpenElement['boilerplate'] {
  const around = parent?.boilerplate ?? 'no'
  if (entered === 2 || (entered === 1 && around === 'form')) return 'no'
  if (around === 'yes' || isBoilerplate(name, attributes, parent?.rank ?? 0)) return 'yes'
  return name === 'form' ? 'form' : around
}
