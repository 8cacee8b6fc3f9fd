import { setImmediate } from 'node:timers/promises'
import type { Chunk } from './embedder.ts'
import { chunkTokensTarget, overlapTokensMax, pack, sectionTokensMin } from './packing.ts'
import { findUnits, type Unit, unitCostMax, type Words, wholeCharacters, wordCharsMax } from './units.ts'

/** Part of the embedding space. Raise `version` when a rule changes that is none of these numbers. */
export const splitterRules = {
  version: 1,
  chunkTokensTarget,
  overlapTokensMax,
  sectionTokensMin,
  unitCostMax,
  wordCharsMax,
}

/** Tokenised at once: about 15 ms of another thread, and 5 ms of ours. */
const pieceCharsMax = 8_192

/**
 * Cuts a text into chunks of at most `tokensMax` tokens (special tokens not counted). A chunk is exactly `text.slice(start, end)`,
 * every character but white space is in a chunk, both bounds ascend. The text is tokenised once, piece by piece, off the event loop.
 */
export async function split(
  text: string,
  words: (piece: string) => Promise<Words>,
  tokensMax: number,
): Promise<readonly Chunk[]> {
  const units: Unit[] = []
  let before = { inCode: false, afterHeading: false }
  for (const piece of piecesOf(text)) {
    const pieceText = text.slice(piece.start, piece.end)
    const bound = before.afterHeading && piece.bound !== 'forced' ? 'glued' : piece.bound
    const found = findUnits(pieceText, await words(pieceText), { inCode: before.inCode, bound })
    for (const unit of found.units)
      units.push({ ...unit, start: unit.start + piece.start, end: unit.end + piece.start })
    before = found
    if (piece.end < text.length) await setImmediate()
  }
  return pack(units, tokensMax)
    .map(({ start, end }) => trimmed(text, start, end))
    .filter(({ text }) => text.length > 0)
    .map((chunk, ordinal) => ({ ordinal, ...chunk }))
}

interface Piece {
  readonly start: number
  readonly end: number
  /** What kind of bound it starts at. `forced`: in the middle of what may be one word, so no chunk may span it. */
  readonly bound: 'paragraph' | 'sentence' | 'word' | 'forced'
}

/** Prefers to cut the text at a blank line, then at a line's end, then at white space, and else anywhere. */
export function* piecesOf(text: string): Generator<Piece> {
  let start = 0
  let bound: Piece['bound'] = 'paragraph'
  while (text.length - start > pieceCharsMax) {
    const window = text.slice(start, start + pieceCharsMax)
    const half = pieceCharsMax / 2
    const blankLine = window.lastIndexOf('\n\n') + 2
    const line = window.lastIndexOf('\n') + 1
    const cut =
      blankLine > half
        ? { at: blankLine, bound: 'paragraph' as const }
        : line > half
          ? { at: line, bound: 'sentence' as const }
          : (atWhiteSpace(window, half) ?? { at: wholeCharacters(window), bound: 'forced' as const })
    yield { start, end: start + cut.at, bound }
    start += cut.at
    bound = cut.bound
  }
  if (start < text.length) yield { start, end: text.length, bound }
}

function atWhiteSpace(window: string, after: number): { at: number; bound: 'word' } | undefined {
  for (let at = window.length; at > after; at--) if (/\s/.test(window[at - 1]!)) return { at, bound: 'word' }
  return undefined
}

function trimmed(text: string, from: number, to: number): { start: number; end: number; text: string } {
  const slice = text.slice(from, to)
  const start = from + slice.length - slice.trimStart().length
  return { start, end: start + slice.trim().length, text: slice.trim() }
}
