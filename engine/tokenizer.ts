import tokenizers from 'tokenizers'
import type { Words } from './units.ts'

/** Hugging Face's own tokenizer. Its methods work in a thread of libuv's pool, not on the event loop. */
export interface Tokenizer {
  /** Token ids with the special tokens, at most `maxTokens`; the last (SEP) stays when it must cut. `count`: of all, before the cut. */
  ids(text: string, maxTokens: number): Promise<{ ids: readonly number[]; truncated: boolean; count: number }>
  /** Token ids of both with the special tokens between them, at most `maxTokens`. */
  pair(query: string, text: string, maxTokens: number): Promise<Pair>
  /** The words of a text without special tokens: what the splitter cuts between. */
  words(text: string): Promise<Words>
}

export interface Pair {
  readonly ids: readonly number[]
  /** Of each token: 0 in the query, 1 in the text; all 0 where the tokenizer does not tell them apart. */
  readonly types: readonly number[]
  readonly truncated: boolean
}

/** @param json the content of a tokenizer.json; its own truncation and padding are ignored (all-MiniLM's cuts at 128). */
export function createTokenizer(json: string): Tokenizer {
  const model = tokenizers.Tokenizer.fromString(json)
  model.disablePadding()
  model.disableTruncation()
  return {
    async ids(text, maxTokens) {
      const ids = (await model.encode(text)).getIds()
      const count = ids.length
      if (count <= maxTokens) return { ids, truncated: false, count }
      return { ids: [...ids.slice(0, maxTokens - 1), ids.at(-1)!], truncated: true, count }
    },
    async pair(query, text, maxTokens) {
      const encoding = await model.encode(query, text)
      return cutPair({ ids: encoding.getIds(), types: encoding.getTypeIds() }, maxTokens)
    },
    async words(text) {
      const encoding = await model.encode(text, null, { addSpecialTokens: false })
      return wordsOf(encoding.getOffsets(), encoding.getWordIds(), utf16Offsets(text))
    },
  }
}

/** The query is cut only above half of what there is; then the text. The last token of each (SEP) stays. */
export function cutPair({ ids, types }: Omit<Pair, 'truncated'>, maxTokens: number): Pair {
  if (ids.length <= maxTokens) return { ids, types, truncated: false }
  const second = types.indexOf(1)
  const cut = (from: number, to: number, max: number) =>
    Array.from({ length: to - from }, (_, i) => from + i).filter((at) => at < from + max - 1 || at === to - 1)
  const query = second < 0 ? [] : cut(0, second, Math.max(Math.floor(maxTokens / 2), maxTokens - (ids.length - second)))
  const kept = [...query, ...cut(Math.max(second, 0), ids.length, maxTokens - query.length)]
  return { ids: kept.map((at) => ids[at]!), types: kept.map((at) => types[at]!), truncated: true }
}

/** Folds tokens into words. Offsets are in code points; a word that overlaps the one before belongs to it: no cut fits between. */
function wordsOf(
  offsets: readonly (readonly number[])[],
  wordIds: readonly (number | null | undefined)[],
  utf16: (codePoint: number) => number,
): Words {
  const starts = new Uint32Array(offsets.length)
  const ends = new Uint32Array(offsets.length)
  const tokens = new Uint32Array(offsets.length)
  let count = 0
  for (let t = 0; t < offsets.length; t++) {
    const start = utf16(offsets[t]![0]!)
    const end = utf16(offsets[t]![1]!)
    const sameWord = count > 0 && ((wordIds[t] != null && wordIds[t] === wordIds[t - 1]) || start < ends[count - 1]!)
    if (!sameWord) starts[count++] = start
    ends[count - 1] = Math.max(ends[count - 1]!, end)
    tokens[count - 1]! += 1
  }
  return { starts: starts.subarray(0, count), ends: ends.subarray(0, count), tokens: tokens.subarray(0, count) }
}

/** From an index in code points (a lone surrogate is one) to an index in UTF-16 units. */
function utf16Offsets(text: string): (codePoint: number) => number {
  if (!/[\ud800-\udbff][\udc00-\udfff]/.test(text)) return (codePoint) => codePoint
  const map = new Uint32Array(text.length + 1)
  let codePoint = 0
  for (let i = 0; i < text.length; i += text.codePointAt(i)! > 0xffff ? 2 : 1) map[codePoint++] = i
  map[codePoint] = text.length
  return (index) => map[index]!
}
