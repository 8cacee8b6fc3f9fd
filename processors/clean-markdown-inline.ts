import { breaking, decodeEntity, htmlNames, withContent } from './clean-markdown-elements.ts'

/** Longer than this a tag or a link's target is text. */
const tagCharsMax = 4096

/** Stands around what an image said, until its line is known to hold more than images. Never part of clean characters. */
const imageMark = '\u0000'

const definition = /^ {0,3}\[([^\]\n^][^\]\n]{0,200})\]:[ \t]*\S[^\n]*(?:\n|$)/gm

/** The names of all link references that are defined. */
export function referenceNames(proses: readonly string[]): ReadonlySet<string> {
  return new Set(proses.flatMap((prose) => [...prose.matchAll(definition)].map(([, name]) => referenceName(name!))))
}

function referenceName(name: string): string {
  return name.trim().replace(/\s+/g, ' ').toLowerCase()
}

/** Prose without tags, link targets and images; code spans stay as they are. One pass from left to right, in linear time. */
export function cleanInline(prose: string, references: ReadonlySet<string>): string {
  const scan = new InlineScan(prose.replace(definition, '\n'), references)
  return scan.run().split('\n').map(dropImages).join('\n')
}

/** An empty line stands in for one of images only, so that what was apart stays apart. */
function dropImages(line: string): string {
  if (!line.includes(imageMark)) return line
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the mark is one.
  const rest = line.replace(/\u0000[^\u0000]*\u0000/g, '')
  return /[\p{L}\p{N}]/u.test(rest) ? line.replaceAll(imageMark, '') : ''
}

class InlineScan {
  readonly #text: string
  readonly #references: ReadonlySet<string>
  readonly #out: string[] = []
  /** For each opening bracket or parenthesis its closing one; 0 if there is none. */
  readonly #closing: Int32Array
  /** Where to go on after the text of a link or image, and what to write there. */
  readonly #after = new Map<number, { next: number; write: string }>()
  readonly #codeSpanEnd: (at: number) => number

  constructor(text: string, references: ReadonlySet<string>) {
    this.#text = text
    this.#references = references
    this.#codeSpanEnd = codeSpanEnds(text)
    this.#closing = this.#matchBrackets()
  }

  run(): string {
    const special = /[`\\<!&[\]]/g
    let at = 0
    while (at < this.#text.length) {
      special.lastIndex = at
      const found = special.exec(this.#text)?.index ?? this.#text.length
      this.#out.push(this.#text.slice(at, found))
      at = found < this.#text.length ? this.#step(found) : found
    }
    return this.#out.join('')
  }

  /** Handles the special character at `at`, and returns where to go on. */
  #step(at: number): number {
    switch (this.#text[at]) {
      case '`':
        return this.#copy(at, this.#codeSpanEnd(at))
      case '\\':
        return this.#escape(at)
      case '<':
        return this.#tag(at)
      case '&':
        return this.#entity(at)
      case ']':
        return this.#linkEnd(at)
      case '[':
        return this.#link(at, at, '')
      default:
        return this.#text[at + 1] === '[' ? this.#link(at, at + 1, imageMark) : this.#copy(at, at + 1)
    }
  }

  #copy(from: number, to: number): number {
    this.#out.push(this.#text.slice(from, to))
    return to
  }

  #replace(text: string, next: number): number {
    this.#out.push(text)
    return next
  }

  /** Only escapes that cannot make new markup are resolved. */
  #escape(at: number): number {
    const escaped = this.#text[at + 1] ?? ''
    return '_*|'.includes(escaped) && escaped !== '' ? this.#replace(escaped, at + 2) : this.#copy(at, at + 2)
  }

  #tag(at: number): number {
    const text = this.#text
    const head = text.slice(at, at + 2100)
    const autolink = /^<((?:https?|mailto|ftp):[^\s<>]{1,2048})>/.exec(head)
    if (autolink !== null) return this.#replace(autolink[1]!, at + autolink[0].length)
    const name = /^<\/?([a-zA-Z][a-zA-Z0-9-]{0,30})(?=[\s/>])/.exec(head)?.[1]?.toLowerCase()
    if (name === undefined || !(htmlNames.has(name) || name.includes('-'))) return this.#copy(at, at + 1)
    const close = this.#find('>', at, tagCharsMax)
    if (close < 0) return this.#copy(at, at + 1)
    if (name === 'img') return this.#replace(imageMark + imageMark, close + 1)
    const opening = text[at + 1] !== '/'
    if (opening && withContent.has(name)) {
      const end = this.#find(`</${name}>`, close, Number.POSITIVE_INFINITY)
      return this.#replace(' ', end < 0 ? close + 1 : end + name.length + 3)
    }
    const heading = /^h([1-6])$/.exec(name)
    if (heading !== null) return this.#heading(Number(heading[1]), opening, close + 1, name)
    return this.#replace(breaking.has(name) ? '\n' : name === 'td' || name === 'th' ? ' ' : '', close + 1)
  }

  #heading(level: number, opening: boolean, from: number, name: string): number {
    const end = opening ? this.#find(`</${name}>`, from, tagCharsMax) : -1
    if (end < 0) return this.#replace('\n\n', from)
    const content = cleanInline(this.#text.slice(from, end).replace(/<\/?h[1-6]\b/gi, '<b'), this.#references)
      .replace(/\s+/g, ' ')
      .trim()
    return this.#replace(content === '' ? '\n' : `\n\n${'#'.repeat(level)} ${content}\n\n`, end + name.length + 3)
  }

  readonly #missing = new Map<string, number>()

  /** Like indexOf within `charsMax`, but what was not found once is not looked for again. */
  #find(what: string, from: number, charsMax: number): number {
    if ((this.#missing.get(what) ?? Number.POSITIVE_INFINITY) <= from) return -1
    const found = this.#text.indexOf(what, from)
    if (found < 0) this.#missing.set(what, from)
    return found - from > charsMax ? -1 : found
  }

  #entity(at: number): number {
    const [whole, name] = /^&(#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z]{2,8});/.exec(this.#text.slice(at, at + 12)) ?? []
    const decoded =
      name === undefined ? null : decodeEntity(name, this.#text.slice(at + whole!.length, at + whole!.length + 12))
    return decoded === null ? this.#copy(at, at + 1) : this.#replace(decoded, at + whole!.length)
  }

  /** A link or image is written as its text: what follows the closing bracket is skipped when the scan gets there. */
  #link(at: number, bracket: number, mark: string): number {
    const close = this.#closing[bracket]!
    const next = close === 0 ? 0 : this.#targetEnd(bracket, close)
    if (next === 0) return this.#copy(at, bracket + 1)
    this.#after.set(close, { next, write: mark })
    return this.#replace(mark, bracket + 1)
  }

  /** The end of the link that has its text between these brackets; 0 if it is none. */
  #targetEnd(open: number, close: number): number {
    const follows = this.#text[close + 1]
    const end = follows === '(' || follows === '[' ? this.#closing[close + 1]! : 0
    if (follows === '(' && end > 0 && end - close < tagCharsMax && !this.#text.slice(close, end).includes('\n\n'))
      return end + 1
    if (follows === '[' && end - close === 2 && this.#isReference(open, close)) return end + 1
    if (follows === '[' && end > 0 && this.#isReference(close + 1, end)) return end + 1
    return this.#isReference(open, close) ? close + 1 : 0
  }

  #isReference(open: number, close: number): boolean {
    return (
      this.#references.size > 0 &&
      close - open < 300 &&
      this.#references.has(referenceName(this.#text.slice(open + 1, close)))
    )
  }

  #linkEnd(at: number): number {
    const after = this.#after.get(at)
    return after === undefined ? this.#copy(at, at + 1) : this.#replace(after.write, after.next)
  }

  #matchBrackets(): Int32Array {
    const text = this.#text
    const closing = new Int32Array(text.length + 1)
    const squares: number[] = []
    const rounds: number[] = []
    const marks = /[`\\[\]()]/g
    for (let found = marks.exec(text); found !== null; found = marks.exec(text)) {
      const at = found.index
      if (found[0] === '\\') marks.lastIndex = at + 2
      else if (found[0] === '`') marks.lastIndex = this.#codeSpanEnd(at)
      else if (found[0] === '[') squares.push(at)
      else if (found[0] === '(') rounds.push(at)
      else {
        const open = (found[0] === ']' ? squares : rounds).pop()
        if (open !== undefined) closing[open] = at
      }
    }
    return closing
  }
}

/** For the place of a run of backticks: the end of the code span that it begins, or of the run itself if none does. */
export function codeSpanEnds(text: string): (at: number) => number {
  const last = new Map<number, number>()
  for (const run of text.matchAll(/`+/g)) last.set(run[0].length, run.index)
  return (at) => {
    const length = runLength(text, at)
    if ((last.get(length) ?? -1) <= at) return at + length
    for (let i = text.indexOf('`', at + length); i >= 0; i = text.indexOf('`', i)) {
      const run = runLength(text, i)
      i += run
      if (run === length) return i
    }
    return at + length
  }
}

function runLength(text: string, at: number): number {
  let end = at
  while (text[end] === '`') end++
  return end - at
}
