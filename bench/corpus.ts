import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cleanDocument } from '../processors/clean-text.ts'
import type { Document } from '../schemas/records.ts'
import { Reject } from '../streams/errors.ts'

/** Real texts that are on any machine that can run this: the READMEs of the installed packages. The same each time, in the same order. */
export function readmes(): Document[] {
  const folder = join(import.meta.dirname, '..', 'node_modules')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => /(^|\/)readme\.md$/i.test(path))
    .sort()
    .flatMap((path) => documentOf(readFileSync(join(folder, path), 'utf8'), path) ?? [])
}

/** Their paragraphs: short documents, each another text. Where there are too few, pairs of them. */
export function paragraphs(count: number): Document[] {
  const whole = readmes()
  const texts = new Set<string>()
  for (const { text } of whole) {
    let paragraph = ''
    for (const block of text.split(/\n{2,}/)) {
      paragraph = paragraph === '' ? block : `${paragraph}\n\n${block}`
      if (wordsIn(paragraph) < WORDS_MIN) continue
      if (wordsIn(paragraph) <= WORDS_MAX) texts.add(paragraph)
      paragraph = ''
    }
  }
  const found = [...texts]
  for (let step = 1; texts.size < count && step < found.length; step++) {
    for (let i = 0; texts.size < count && i + step < found.length; i++) texts.add(`${found[i]}\n\n${found[i + step]}`)
  }
  const documents = [...texts].flatMap((text, i) => documentOf(text, `paragraph-${i}`) ?? [])
  if (documents.length < count)
    throw new Error(`the installed packages have ${documents.length} texts, and ${count} are needed`)
  return documents.slice(0, count)
}

/** The first words of texts, as people search. */
export function questions(documents: readonly Document[], count: number): string[] {
  const step = Math.max(1, Math.floor(documents.length / count))
  return Array.from({ length: count }, (_, i) =>
    documents[(i * step) % documents.length]!.text.replace(/[^\p{L}\p{N}\s]+/gu, ' ')
      .trim()
      .split(/\s+/)
      .slice(0, 8)
      .join(' '),
  )
}

/** One document of about this many characters. */
export function longText(charsMin: number): string {
  const parts: string[] = []
  let chars = 0
  const texts = readmes().map(({ text }) => text)
  for (let i = 0; chars < charsMin; i++) {
    const text = `# Part ${i + 1}\n\n${texts[i % texts.length]}`
    parts.push(text)
    chars += text.length
  }
  return parts.join('\n\n')
}

function documentOf(text: string, title: string): Document | null {
  try {
    return cleanDocument({ text, title, contentType: 'text/markdown', url: null, language: null, attributes: {} })
  } catch (error) {
    if (error instanceof Reject) return null
    throw error
  }
}

const wordsIn = (text: string): number => text.trim().split(/\s+/).length
/** 60 to 200 tokens of the model, or thereabouts. */
const WORDS_MIN = 35
const WORDS_MAX = 110
