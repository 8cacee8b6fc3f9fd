import { cleanCharacters, fenceAfter, listItem, oneLine, squeezeSpaces } from './clean-characters.ts'
import { cleanInline, codeSpanEnds, referenceNames } from './clean-markdown-inline.ts'
import type { FoundText } from './clean-text.ts'

/** What is dropped can leave new Markdown behind. Real documents are stable after two passes. */
const passesMax = 8

/**
 * The text of a Markdown document: headings as `# ` lines and code between fences as they are; front matter, HTML, badges and lines of images
 * only, link targets and rules are dropped. Its own output comes out unchanged. Takes clean characters.
 */
export function markdownToText(markdown: string): FoundText {
  const front = frontMatter(markdown)
  const text = untilStable(markdown)
  return {
    text,
    title: front.get('title') || firstHeading(text),
    language: front.get('language') || front.get('lang') || null,
  }
}

function untilStable(markdown: string): string {
  let text = markdown
  for (let pass = 0; pass < passesMax; pass++) {
    const next = squeezeSpaces(cleanCharacters(onePass(text)))
    if (next === text) return text
    text = next
  }
  // Nothing that people write is nested so deep; without these characters there is no markup left to be found.
  return squeezeSpaces(text.replace(/[<>[\]`~&\\=_*|:-]/g, ' '))
}

function onePass(markdown: string): string {
  const blocks = cutBlocks(markdown.slice(frontMatterLength(markdown)))
  const references = referenceNames(blocks.filter(({ code }) => !code).map(({ text }) => text))
  return blocks.map(({ code, text }) => (code ? text : cleanProse(text, references))).join('\n')
}

interface Block {
  readonly code: boolean
  readonly text: string
}

/** Cuts the document into code (between fences, which indented code is given) and the prose between. */
function cutBlocks(markdown: string): Block[] {
  const blocks: Block[] = []
  let lines: string[] = []
  let fence: string | null = null
  let inList = false
  const cut = (code: boolean) => {
    if (lines.length > 0) blocks.push({ code, text: lines.join('\n') })
    lines = []
  }
  const all = dropComments(markdown).split('\n')
  for (let i = 0; i < all.length; i++) {
    const line = all[i]!
    const next = fenceAfter(line, fence)
    if (fence === null && next === null) {
      const codeEnd = inList || all[i - 1]?.trim() ? i : endOfIndented(all, i)
      if (codeEnd > i) {
        cut(false)
        blocks.push({ code: true, text: fenced(all.slice(i, codeEnd)) })
        i = codeEnd - 1
        continue
      }
      if (listItem.test(line)) inList = true
      else if (/^\S/.test(line)) inList = false
    } else if (fence === null) cut(false)
    lines.push(line)
    if (fence !== null && next === null) cut(true)
    fence = next
  }
  cut(fence !== null)
  return blocks
}

/** Where the code that begins here, indented by four, ends: `from` itself if there is none. */
function endOfIndented(lines: readonly string[], from: number): number {
  let end = from
  for (let i = from; i < lines.length; i++) {
    if (/^(?: {4}|\t)[ \t]*\S/.test(lines[i]!)) end = i + 1
    else if (i === from || lines[i]!.trim() !== '') break
  }
  return end
}

function fenced(lines: readonly string[]): string {
  const code = lines.map((line) => line.replace(/^(?: {4}|\t)/, ''))
  const ticks = (code.join('\n').match(/`+/g) ?? []).reduce((longest, run) => Math.max(longest, run.length), 2)
  const fence = '`'.repeat(ticks + 1)
  return [fence, ...code, fence].join('\n')
}

/** Comments outside of code, which may hold whole code blocks. One that never ends is text. */
function dropComments(markdown: string): string {
  const lastEnd = markdown.lastIndexOf('-->')
  if (lastEnd < 0) return markdown
  const kept: string[] = []
  let fence: string | null = null
  for (let at = 0; at < markdown.length; ) {
    const found = markdown.indexOf('\n', at)
    const end = found < 0 ? markdown.length : found + 1
    const line = markdown.slice(at, end)
    const next = fenceAfter(line.trimEnd(), fence)
    if (fence === null && next === null && line.includes('<!--')) at = dropFromLine(markdown, at, line, lastEnd, kept)
    else {
      kept.push(line)
      at = end
    }
    fence = next
  }
  return kept.join('')
}

/** Keeps of the line that begins at `at` what is no comment, and returns where to go on: behind the line, or behind the comment that leaves it. */
function dropFromLine(markdown: string, at: number, line: string, lastEnd: number, kept: string[]): number {
  const codeSpanEnd = codeSpanEnds(line)
  const marks = /`+|<!--/g
  let from = 0
  for (let mark = marks.exec(line); mark !== null; mark = marks.exec(line)) {
    if (mark[0] !== '<!--') {
      marks.lastIndex = codeSpanEnd(mark.index)
      continue
    }
    const start = at + mark.index + 4
    if (start > lastEnd) break
    const close = markdown.indexOf('-->', start)
    kept.push(line.slice(from, mark.index))
    if (close + 3 >= at + line.length) return close + 3
    from = close + 3 - at
    marks.lastIndex = from
  }
  kept.push(line.slice(from))
  return at + line.length
}

const rule = /^[ \t]*(?:[-*_=][ \t]*){3,}$|^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/

function cleanProse(prose: string, references: ReadonlySet<string>): string {
  const lines: string[] = []
  for (const line of cleanInline(prose, references).split('\n')) {
    const level = /^ {0,3}=+[ \t]*$/.test(line) ? 1 : /^ {0,3}-+[ \t]*$/.test(line) ? 2 : 0
    const before = lines.at(-1)
    if (level > 0 && before !== undefined && /^ {0,3}[\p{L}\p{N}]/u.test(before) && !listItem.test(before))
      lines[lines.length - 1] = `${'#'.repeat(level)} ${before.trim()}\n`
    else if (!rule.test(line))
      lines.push(
        line
          .replace(/^( {0,3}#{1,6}[ \t].*?)[ \t]+#+[ \t]*$/, '$1')
          .replace(/^( {0,3}#{1,6}[ \t].*?)[ \t]*\{#[\w-]+\}[ \t]*$/, '$1'),
      )
  }
  return lines.join('\n')
}

function firstHeading(text: string): string | null {
  let fence: string | null = null
  for (const line of text.split('\n')) {
    fence = fenceAfter(line, fence)
    const heading = fence === null ? /^#{1,6}[ \t]+(.*\S)/.exec(line)?.[1] : undefined
    if (heading !== undefined) return oneLine(heading.replace(/[`*]/g, '')) || null
  }
  return null
}

const frontMatterCharsMax = 16_384

/** Length of the front matter with its last line: `---`, lines of `name: value` and what belongs to them, `---`. */
function frontMatterLength(markdown: string): number {
  if (!/^---[ \t]*\n[A-Za-z_][\w-]*[ \t]*:/.test(markdown.slice(0, 300))) return 0
  const end = /\n(?:---|\.\.\.)[ \t]*(?:\n|$)/.exec(markdown.slice(0, frontMatterCharsMax))
  return end === null ? 0 : end.index + end[0].length
}

function frontMatter(markdown: string): ReadonlyMap<string, string> {
  const lines = markdown.slice(0, frontMatterLength(markdown)).split('\n')
  const fields = lines.map((line) => /^([A-Za-z_][\w-]*)[ \t]*:[ \t]*(.*)$/.exec(line))
  return new Map(
    fields
      .filter((field) => field !== null)
      .map(([, name, value]) => [name!.toLowerCase(), value!.trim().replace(/^(["'])(.*)\1$/, '$2')]),
  )
}
