/** The words of a text, as the model sees them: ascending, not overlapping, in UTF-16 units. What lies between makes no tokens. */
export interface Words {
  readonly starts: Uint32Array
  readonly ends: Uint32Array
  /** How many tokens the model makes of each word, whatever stands beside it. */
  readonly tokens: Uint32Array
}

/** A stretch of text that is not cut further: a heading line, a sentence, or part of a very long one. Units lie end to end. */
export interface Unit {
  readonly start: number
  readonly end: number
  readonly bound: Bound
  /** An upper bound of its tokens. */
  readonly cost: number
}

/**
 * What the text has where a unit starts, from the best place for a cut to the worst. `glued` follows a heading, which should
 * stay with it; at `forced` there must be a cut, since only then the token counts on both sides hold.
 */
export type Bound = 'forced' | 'heading' | 'paragraph' | 'sentence' | 'word' | 'glued'

/** No unit costs more, so a heading and the first unit after it fit in one chunk. A model's word has at most 100 tokens. */
export const unitCostMax = 100

/** Longer words are cut; the models see them as one unknown token, but their parts may have up to 100. */
export const wordCharsMax = 1_000
/** Bounds a chunk's characters, whatever its tokens: 32 × 254 are 8 kB. */
const charsPerToken = 32
/** `Intl.Segmenter` takes quadratic time on long input. */
const segmentCharsMax = 2_048

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' })

/**
 * Cuts a piece of text at headings, paragraphs and sentences, and what is still too long between words. Pure.
 * `before`: whether the piece starts inside fenced code, and what kind of bound it starts at.
 */
export function findUnits(
  text: string,
  words: Words,
  before: { inCode: boolean; bound: Bound },
): { units: readonly Unit[]; inCode: boolean; afterHeading: boolean } {
  const { places, ...after } = structureOf(text, before)
  const units: Unit[] = []
  let unit = { from: 0, start: 0, bound: before.bound }
  let word = 0
  for (const { at, bound } of places) {
    while (word < words.starts.length && words.starts[word]! < at) word++
    const insideWord = word > 0 && words.ends[word - 1]! > at
    if (insideWord) continue
    if (word > unit.from) {
      addUnits(units, text, words, { ...unit, to: word, end: at })
      unit = { from: word, start: at, bound }
    } else if (unit.bound !== 'forced') unit.bound = bound
  }
  addUnits(units, text, words, { ...unit, to: words.starts.length, end: text.length })
  return { units, ...after }
}

interface Place {
  readonly at: number
  readonly bound: Bound
}

/** Where headings, paragraphs and sentences start, by Markdown's rules; a `#` inside fenced code is no heading. */
function structureOf(text: string, before: { inCode: boolean; bound: Bound }) {
  const bounds: Place[] = []
  let inCode = before.inCode
  let paragraphStart = -1
  let next = before.bound
  const startsLine = before.bound !== 'word' && before.bound !== 'forced'
  const endParagraph = (at: number) => {
    if (paragraphStart >= 0) addSentences(bounds, text, paragraphStart, at, inCode)
    paragraphStart = -1
  }
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf('\n', at)
    const end = newline < 0 ? text.length : newline + 1
    const line = text.slice(at, Math.min(end, at + 200))
    if (/^\s*$/.test(line) && end - at <= 200) {
      endParagraph(at)
      if (next !== 'glued') next = 'paragraph'
    } else if (!inCode && /^#{1,6}\s/.test(line) && (at > 0 || startsLine)) {
      endParagraph(at)
      bounds.push({ at, bound: 'heading' })
      next = 'glued'
    } else {
      const fence = /^\s*(```|~~~)/.test(line) && (at > 0 || startsLine)
      if (fence) endParagraph(at)
      if (paragraphStart < 0) {
        bounds.push({ at, bound: next })
        next = 'sentence'
        paragraphStart = at
      }
      if (fence) inCode = !inCode
    }
    at = end
  }
  endParagraph(text.length)
  return { places: bounds, inCode, afterHeading: next === 'glued' }
}

function addSentences(bounds: Place[], text: string, start: number, end: number, inCode: boolean): void {
  if (inCode) {
    for (let at = text.indexOf('\n', start) + 1; at > 0 && at < end; at = text.indexOf('\n', at) + 1) {
      bounds.push({ at, bound: 'sentence' })
    }
    return
  }
  for (let at = start; at < end; at += segmentCharsMax) {
    const window = text.slice(at, Math.min(end, at + segmentCharsMax))
    if (!mayEndSentence.test(window)) continue
    const prose = window.replace(lineBreakInProse, (found) => ' '.repeat(found.length))
    for (const { index } of sentences.segment(prose)) if (index > 0) bounds.push({ at: at + index, bound: 'sentence' })
  }
}

/** Asking first saves the segmenter's set-up, 40 µs, for each of very many tiny paragraphs. */
const mayEndSentence = /[\p{Sentence_Terminal}\n]\P{Cc}/u
/** Ends no sentence, unless a list item or a table row begins after it. */
const lineBreakInProse = /\r?\n(?!\s*(?:[-*+>|]|\d+[.)])\s)/g

interface Stretch {
  readonly from: number
  readonly to: number
  readonly start: number
  readonly end: number
  readonly bound: Bound
}

/** Appends the words `from`..`to` as one unit, or as several if they cost too much. */
function addUnits(units: Unit[], text: string, words: Words, { from, to, start, end, bound }: Stretch): void {
  let unit = { start, bound, cost: 0 }
  const close = (at: number, nextBound: Bound) => {
    if (at > unit.start) units.push({ ...unit, end: at })
    unit = { start: at, bound: nextBound, cost: 0 }
  }
  for (let w = from; w < Math.max(to, from + 1); w++) {
    const wordStart = w === from ? start : words.starts[w]!
    const wordEnd = w + 1 < to ? words.starts[w + 1]! : end
    if (wordEnd - wordStart > wordCharsMax) {
      if (unit.cost > 0) close(wordStart, 'word')
      for (let at = wordStart; at < wordEnd; at = unit.start) {
        unit.cost = unitCostMax
        close(at + wholeCharacters(text.slice(at, Math.min(at + wordCharsMax, wordEnd))), 'word')
      }
      continue
    }
    const cost = Math.max(w < to ? words.tokens[w]! : 0, Math.ceil((wordEnd - wordStart) / charsPerToken))
    if (unit.cost > 0 && unit.cost + cost > unitCostMax) close(wordStart, 'word')
    unit.cost += cost
  }
  close(end, 'word')
}

/** The length without half a surrogate pair at the end. */
export function wholeCharacters(window: string): number {
  return window.length > 1 && /[\ud800-\udbff]$/.test(window) ? window.length - 1 : window.length
}
