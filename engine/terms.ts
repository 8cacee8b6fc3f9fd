import snowball from 'snowball-stemmers'
import { eng as englishStopWords } from 'stopword'
import type { Terms } from './embedder.ts'
import { murmur3 } from './murmur3.ts'

/**
 * BM25's parameters. The average is a constant, so that a document's weights do not depend on what
 * else is in the index; READMEs cut by our splitter have 59.
 */
const k1 = 1.2
const b = 0.75
const averageTermsPerChunk = 60

/** Part of the embedding space. Raise `version` when anything below changes. */
export const analyserRules = { version: 1, k1, b, averageTermsPerChunk, stemmer: 'english', hash: 'murmur3' }

/** BM25 without the inverse document frequency: Qdrant's `idf` modifier multiplies that in when it searches. */
export function documentTerms(text: string, language: string | null): Terms {
  const { counts, total } = analyse(text, language)
  const norm = k1 * (1 - b + (b * total) / averageTermsPerChunk)
  return sparse(counts, (count) => (count * (k1 + 1)) / (count + norm))
}

/** Every distinct term weighs 1. */
export function queryTerms(text: string, language: string | null): Terms {
  return sparse(analyse(text, language).counts, () => 1)
}

/** The terms of a text with how often each occurs: what the index knows, for tests and explanations. */
export function termCounts(text: string, language: string | null): Map<string, number> {
  return new Map([...analyse(text, language).counts].map(([term, count]) => [term.text, count]))
}

/** Where a text has words with one of these terms: UTF-16 units, end exclusive, in order, at most `max`. */
export function termSpans(
  text: string,
  terms: ReadonlySet<number>,
  language: string | null,
  max: number,
): (readonly [number, number])[] {
  const analyser = analyserFor(language)
  analyser.makeRoom()
  const spans: (readonly [number, number])[] = []
  // As it is written: normalised text has other offsets. A word by itself is normalised alike.
  for (const { 0: found, index } of text.matchAll(word)) {
    if (spans.length === max) break
    if (analyser.termsOf(found.normalize('NFKC')).some((term) => terms.has(term.index)))
      spans.push([index, index + found.length])
  }
  return spans
}

interface Term {
  readonly text: string
  readonly index: number
}

/** Words with the dots, underscores and apostrophes inside them: `kafka.js`, `commit_offsets`, `don't`. */
const word = /[\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*(?:[.'’][\p{L}\p{N}_][\p{L}\p{M}\p{N}_]*)*/gu
/** Writing without spaces between words: a dictionary must find them. */
const unspaced = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}\p{sc=Myanmar}]/u
const segmenter = new Intl.Segmenter('und', { granularity: 'word' })

function analyse(text: string, language: string | null): { counts: Map<Term, number>; total: number } {
  const analyser = analyserFor(language)
  analyser.makeRoom()
  const counts = new Map<Term, number>()
  let total = 0
  for (const [found] of text.normalize('NFKC').matchAll(word)) {
    for (const term of analyser.termsOf(found)) {
      counts.set(term, (counts.get(term) ?? 0) + 1)
      total += 1
    }
  }
  return { counts, total }
}

const analyserFor = (language: string | null): Analyser =>
  language === null || /^en\b/i.test(language) ? english : neutral

interface Analyser {
  /** Called between texts, so that equal terms of one text are the same object. */
  makeRoom(): void
  termsOf(word: string): readonly Term[]
}

const cachedWordsMax = 50_000
const cachedWordCharsMax = 64

/** Remembers the terms of short words: stemming costs far more than the look-up. */
function cached(normal: (part: string) => string | null): Analyser {
  const words = new Map<string, readonly Term[]>()
  const terms = new Map<string, Term>()
  const termOf = (text: string) => {
    const known = terms.get(text)
    if (known) return known
    const term = { text, index: murmur3(text) }
    terms.set(text, term)
    return term
  }
  return {
    makeRoom() {
      if (words.size < cachedWordsMax && terms.size < cachedWordsMax) return
      words.clear()
      terms.clear()
    },
    termsOf(found) {
      const known = words.get(found)
      if (known) return known
      const parts = partsOf(found).map(normal)
      const result = parts.filter((part) => part !== null).map(termOf)
      if (found.length <= cachedWordCharsMax) words.set(found, result)
      return result
    },
  }
}

/** The whole word, and where it is an identifier its parts: `eachBatch` is also `each` and `batch`. */
function partsOf(found: string): readonly string[] {
  if (unspaced.test(found)) {
    return [...segmenter.segment(found)].filter((part) => part.isWordLike).map((part) => part.segment.toLowerCase())
  }
  const whole = found.replace(/^_+|_+$/g, '').toLowerCase()
  const parts = found
    .split(/[._]|(?<=[\p{Ll}\p{N}])(?=\p{Lu})|(?<=\p{Lu})(?=\p{Lu}\p{Ll})/u)
    .filter((part) => part.length > 1)
    .map((part) => part.toLowerCase())
  return [...new Set([whole, ...parts])].filter((part) => part.length > 0)
}

const stopWords = new Set(englishStopWords)
const stemmer = snowball.newStemmer('english')

const english = cached((part) => {
  const plain = part.replaceAll('’', "'")
  return stopWords.has(plain) ? null : stemmer.stem(plain)
})
const neutral = cached((part) => part.replaceAll('’', "'"))

/** Ascending indices; two terms with the same hash add up. */
function sparse(counts: Map<Term, number>, weigh: (count: number) => number): Terms {
  const weights = new Map<number, number>()
  for (const [{ index }, count] of counts) weights.set(index, (weights.get(index) ?? 0) + weigh(count))
  const indices = Uint32Array.from(weights.keys()).sort()
  return { indices, values: Float32Array.from(indices, (index) => weights.get(index)!) }
}
