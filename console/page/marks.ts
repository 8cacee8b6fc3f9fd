export type Range = readonly [start: number, end: number]

export interface Piece {
  readonly text: string
  readonly isMarked: boolean
}

/** The text in pieces, those of the ranges marked. */
export function piecesOf(text: string, ranges: readonly Range[]): Piece[] {
  const pieces: Piece[] = []
  let at = 0
  for (const [start, end] of ranges.toSorted(([a], [b]) => a - b)) {
    if (start < at || end <= start || end > text.length) continue
    if (start > at) pieces.push({ text: text.slice(at, start), isMarked: false })
    pieces.push({ text: text.slice(start, end), isMarked: true })
    at = end
  }
  if (at < text.length) pieces.push({ text: text.slice(at), isMarked: false })
  return pieces
}

/** Where the words of the query are, letter for letter: a standing query says no highlights. */
export function wordsOf(query: string, text: string): Range[] {
  const wanted = new Set((query.toLowerCase().match(WORD) ?? []).filter((word) => word.length >= LETTERS_MIN))
  return [...text.matchAll(WORD)]
    .filter(([word]) => wanted.has(word.toLowerCase()))
    .map(({ 0: word, index }) => [index, index + word.length])
}

const WORD = /[\p{L}\p{N}]+/gu
const LETTERS_MIN = 3

/** The part of a long text that has the most marks, from the begin of a word to the end of one. */
export function excerptOf(text: string, ranges: readonly Range[], charsMax: number): Range {
  if (text.length <= charsMax) return [0, text.length]
  let [best, most] = [0, 0]
  for (const [start] of ranges) {
    const count = ranges.filter(([from, to]) => from >= start && to <= start + charsMax - LEAD_CHARS).length
    if (count > most) [best, most] = [start, count]
  }
  const from = wordBefore(text, Math.min(Math.max(0, best - LEAD_CHARS), text.length - charsMax))
  const to = from + charsMax
  return [from, to >= text.length ? text.length : wordBefore(text, to)]
}

/** What is shown before the first mark. */
const LEAD_CHARS = 60

/** Words are rarely longer than this; text without spaces is cut where it is. */
function wordBefore(text: string, at: number): number {
  const space = text.slice(Math.max(0, at - 30), at).search(/\s\S*$/)
  return at === 0 || space < 0 ? at : Math.max(0, at - 30) + space + 1
}
