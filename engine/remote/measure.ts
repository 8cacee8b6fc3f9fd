import { createHash } from 'node:crypto'
import { createTokenizer } from '../tokenizer.ts'
import type { Words } from '../units.ts'

/** How many tokens a text has for a model that is elsewhere: exactly, by its tokenizer, or an upper bound, by its bytes. */
export interface Measure {
  /** As the space has it. */
  readonly name: string
  words(text: string): Promise<Words>
  /** With the special tokens. */
  count(text: string): Promise<number>
  /** The start of the text that is within the bound, special tokens counted; the text itself if all of it is. */
  start(text: string, tokensMax: number): Promise<{ readonly text: string; readonly tokens: number }>
}

export const tokenizerName = (json: string): string => `tokenizer ${createHash('sha256').update(json).digest('hex')}`
export const bytesName = (tokenBytes: number): string => `${tokenBytes} bytes`

/** @param json the content of the model's tokenizer.json. */
export function byTokenizer(json: string): Measure {
  const tokenizer = createTokenizer(json)
  const count = async (text: string) => (await tokenizer.ids(text, Number.MAX_SAFE_INTEGER)).ids.length
  const words = (text: string) => tokenizer.words(text)
  let specials: Promise<number> | null = null
  return { name: tokenizerName(json), words, count, start: startBy(words, count, () => (specials ??= count(''))) }
}

/**
 * Without a tokenizer: so many bytes of UTF-8 are one token, words are cut into pieces of 16 characters, and each mark is at least one.
 * A model that works on bytes never makes more tokens than bytes, and one that works on word pieces hardly more than characters.
 */
export function byBytes(tokenBytes: number): Measure {
  const words = async (text: string) => wordsOf(text, tokenBytes)
  const count = async (text: string) => SPECIALS + wordsOf(text, tokenBytes).tokens.reduce((sum, each) => sum + each, 0)
  return { name: bytesName(tokenBytes), words, count, start: startBy(words, count, async () => SPECIALS) }
}

/** Most models put one before and one behind. */
const SPECIALS = 2

function startBy(
  words: (text: string) => Promise<Words>,
  count: (text: string) => Promise<number>,
  specials: () => Promise<number>,
): Measure['start'] {
  return async (text, tokensMax) => {
    const tokens = await count(text)
    if (tokens <= tokensMax) return { text, tokens }
    const found = await words(text)
    let sum = await specials()
    let end = 0
    for (let i = 0; i < found.tokens.length && sum + found.tokens[i]! <= tokensMax; i++) {
      sum += found.tokens[i]!
      end = found.ends[i]!
    }
    // A first word that is longer than the model takes.
    if (end === 0) return { text: text.slice(0, tokensMax), tokens: tokensMax }
    return { text: text.slice(0, end), tokens: sum }
  }
}

function wordsOf(text: string, tokenBytes: number): Words {
  const found = [...text.matchAll(/[\p{L}\p{M}\p{N}]{1,16}|[^\p{L}\p{M}\p{N}\s]/gu)]
  const bytesOf = (word: string) => Buffer.byteLength(word) + 1
  return {
    starts: Uint32Array.from(found, ({ index }) => index),
    ends: Uint32Array.from(found, (match) => match.index + match[0].length),
    // The space before a word is part of its first token.
    tokens: Uint32Array.from(found, ([word]) => Math.max(1, Math.ceil(bytesOf(word) / tokenBytes))),
  }
}
