import { inOneLine } from './wish.ts'

type Range = readonly [start: number, end: number]

/** A text on a terminal, one line, the ranges marked. Of a long one, the part with the most of them. */
export function highlighted(
  text: string,
  ranges: readonly Range[],
  { charsMax, mark }: { charsMax: number; mark: (word: string) => string },
): string {
  const [from, to] = excerptOf(text, ranges, charsMax)
  let line = ''
  let at = from
  for (const [start, end] of ranges.toSorted(([a], [b]) => a - b)) {
    if (start < at || end <= start || end > to) continue
    line += inOneLine(text.slice(at, start)) + mark(inOneLine(text.slice(start, end)))
    at = end
  }
  line += inOneLine(text.slice(at, to))
  return `${from > 0 ? '… ' : ''}${line.trim()}${to < text.length ? ' …' : ''}`
}

function excerptOf(text: string, ranges: readonly Range[], charsMax: number): Range {
  if (text.length <= charsMax) return [0, text.length]
  let [best, most] = [0, 0]
  for (const [start] of ranges) {
    const from = Math.min(wordBefore(text, Math.max(0, start - LEAD_CHARS)), text.length - charsMax)
    const count = ranges.filter(([a, b]) => a >= from && b <= from + charsMax).length
    if (count > most) [best, most] = [from, count]
  }
  return [best, best + charsMax]
}

/** What is shown before the first mark. */
const LEAD_CHARS = 40

/** Where the word begins that is here; text without spaces is cut where it is. */
function wordBefore(text: string, at: number): number {
  const from = Math.max(0, at - WORD_CHARS_MAX)
  const space = text.slice(from, at).search(/\s\S*$/)
  return at === 0 || space < 0 ? at : from + space + 1
}

const WORD_CHARS_MAX = 30
