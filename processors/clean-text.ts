import { Reject } from '../streams/errors.ts'
import { cleanAcl } from './clean-acl.ts'
import { type Attributes, cleanAttributes } from './clean-attributes.ts'
import { cleanCharacters, hasLettersOrDigits, oneLine, shown, squeezeSpaces } from './clean-characters.ts'
import { htmlToText } from './clean-html.ts'
import { markdownToText } from './clean-markdown.ts'

const KiB = 1024
const MiB = 1024 * KiB

/** Part of the version of F: goes up whenever what this function returns may change. */
export const cleaningVersion = 'c1'

/** A document as its producer has it. */
export interface RawDocument {
  title: string | null
  text: string
  /** text/plain, text/markdown or text/html; null means plain. Parameters (`; charset=…`) are ignored. */
  contentType: string | null
  /** Absolute: http, https or file. */
  url: string | null
  /** BCP 47. */
  language: string | null
  attributes: Attributes
  /** Groups whose members are shown it; null or absent: everyone of the tenant. */
  acl?: readonly string[] | null | undefined
}

export interface CleanDocument {
  title: string | null
  /** Unicode NFC; headings are lines that begin with #, code stands between fences. */
  text: string
  url: string | null
  language: string | null
  attributes: Attributes
  /** In order, none twice; null: everyone of the tenant. */
  acl: string[] | null
  /** The `cleaningVersion` that made it. */
  cleaning: string
}

export const cleaningLimits = {
  /** Of the text as it comes, UTF-8. Above what a record may hold, so that it bounds only our own doors. */
  rawBytesMax: 16 * MiB,
  /** Of the clean text, UTF-8. */
  textBytesMax: 4 * MiB,
  /** UTF-16 units. A title that was given may not be longer; one that was found in the text is cut. */
  titleCharsMax: 1000,
  urlCharsMax: 2048,
  attributesMax: 64,
  attributeBytesMax: 4 * KiB,
  attributeItemsMax: 100,
  aclGroupsMax: 64,
  /** Share of U+FFFD among the characters: more of them mean that the bytes were decoded wrongly. */
  replacementShareMax: 1 / 200,
}

/**
 * Turns a document into what is kept in `documents`, the same wherever it comes in. Pure, deterministic and linear in the
 * size of the text. What it returns, given to it again as plain text, comes out unchanged; so does clean Markdown as Markdown.
 * Throws `Reject` with the field, the value and the fix for what can never become a document.
 */
export function cleanDocument(raw: RawDocument, limits: Partial<typeof cleaningLimits> = {}): CleanDocument {
  const bounds = { ...cleaningLimits, ...limits }
  checkRawText(raw.text, bounds.rawBytesMax)
  const found = readText(raw)
  const text = checkText(found.text, raw, bounds)
  const title = cleanTitle(raw.title, bounds.titleCharsMax) ?? cutTitle(found.title, bounds.titleCharsMax)
  const url = cleanUrl(raw.url, bounds.urlCharsMax)
  const language = cleanLanguage(raw.language) ?? canonicalLanguage(found.language)
  const attributes = cleanAttributes(raw.attributes, bounds)
  const acl = cleanAcl(raw.acl ?? null, bounds)
  return { title, text, url, language, attributes, acl, cleaning: cleaningVersion }
}

/** Text and what it says of itself. */
export interface FoundText {
  readonly text: string
  readonly title: string | null
  readonly language: string | null
}

function readText({ text, contentType }: RawDocument): FoundText {
  switch (contentType?.split(';')[0]?.trim().toLowerCase() ?? 'text/plain') {
    case 'text/plain':
    case '':
      return { text: squeezeSpaces(cleanCharacters(text)), title: null, language: null }
    case 'text/markdown':
      return markdownToText(cleanCharacters(text))
    case 'text/html': {
      const found = htmlToText(text)
      return { ...found, text: squeezeSpaces(cleanCharacters(found.text)) }
    }
    default:
      throw new Reject(`contentType: ${shown(contentType)} is not known; send text/plain, text/markdown or text/html`)
  }
}

function checkRawText(text: unknown, bytesMax: number): void {
  if (typeof text !== 'string') throw new Reject(`text: ${shown(text)} is not a string; send the document's text`)
  const bytes = Buffer.byteLength(text)
  if (bytes > bytesMax) throw new Reject(`text: has ${bytes} bytes, more than ${bytesMax}; split the document`)
  if (!text.isWellFormed()) throw new Reject('text: has half a surrogate pair; send well-formed Unicode')
}

function checkText(text: string, raw: RawDocument, limits: typeof cleaningLimits): string {
  if (!hasLettersOrDigits(text))
    throw new Reject(
      `text: has no letters or digits after cleaning (${shown(raw.text)}); send the document's text, or delete the document with a null value`,
    )
  const bytes = Buffer.byteLength(text)
  if (bytes > limits.textBytesMax)
    throw new Reject(`text: has ${bytes} bytes after cleaning, more than ${limits.textBytesMax}; split the document`)
  const replaced = text.split('\ufffd').length - 1
  if (replaced > text.length * limits.replacementShareMax)
    throw new Reject(
      `text: ${replaced} of ${text.length} characters are U+FFFD (${shown(text)}), so it was decoded with the wrong character set; decode it with the right one`,
    )
  return text
}

function cleanTitle(title: string | null, charsMax: number): string | null {
  if (title === null) return null
  if (typeof title !== 'string') throw new Reject(`title: ${shown(title)} is not a string; send a string or null`)
  if (!title.isWellFormed())
    throw new Reject(`title: has half a surrogate pair (${shown(title)}); send well-formed Unicode`)
  const clean = oneLine(title)
  if (clean.length > charsMax)
    throw new Reject(`title: has ${clean.length} characters (${shown(clean)}), more than ${charsMax}; shorten it`)
  return clean === '' ? null : clean
}

function cutTitle(title: string | null, charsMax: number): string | null {
  // The cut may halve a surrogate pair: toWellFormed shows it, and oneLine of the result must be the result.
  const clean = oneLine(
    oneLine(title ?? '')
      .slice(0, charsMax)
      .toWellFormed()
      .replace(/\ufffd$/, ''),
  )
  return clean === '' ? null : clean
}

const urlFix = 'send an absolute http, https or file URL, or null'

function cleanUrl(url: string | null, charsMax: number): string | null {
  if (url === null) return null
  if (typeof url !== 'string') throw new Reject(`url: ${shown(url)} is not a string; ${urlFix}`)
  const trimmed = url.trim()
  if (trimmed === '') return null
  if (trimmed.length > charsMax)
    throw new Reject(`url: has ${trimmed.length} characters (${shown(trimmed)}), more than ${charsMax}; ${urlFix}`)
  const parsed = URL.parse(trimmed)
  if (parsed === null) throw new Reject(`url: ${shown(trimmed)} is relative or malformed; ${urlFix}`)
  if (!/^(https?|file):$/.test(parsed.protocol))
    throw new Reject(`url: ${shown(trimmed)} has the scheme ${shown(parsed.protocol)}; ${urlFix}`)
  // biome-ignore lint/suspicious/noControlCharactersInRegex: URL parsers drop tabs and line breaks silently; a key for people should not hold them.
  if (/[\s\u0000-\u001f\u007f]/.test(trimmed) || !trimmed.isWellFormed())
    throw new Reject(`url: ${shown(trimmed)} has spaces or control characters; encode them as %20 and the like`)
  return trimmed
}

function cleanLanguage(language: string | null): string | null {
  if (language === null) return null
  if (typeof language !== 'string')
    throw new Reject(`language: ${shown(language)} is not a string; send a tag like en or pt-BR, or null`)
  if (language.trim() === '') return null
  const canonical = canonicalLanguage(language)
  if (canonical === null)
    throw new Reject(`language: ${shown(language)} is not a BCP 47 tag; send one like en or pt-BR, or null`)
  return canonical
}

function canonicalLanguage(language: string | null): string | null {
  try {
    return Intl.getCanonicalLocales(language?.trim().replaceAll('_', '-') ?? [])[0] ?? null
  } catch {
    return null
  }
}
