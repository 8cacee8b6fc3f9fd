import { isUtf8 } from 'node:buffer'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import type { Format, ListedFile, Problem } from './list.ts'

/** One document of a file, as its door takes it. */
export interface FileDocument {
  readonly id: string
  /** null: the file asks for its deletion. */
  readonly fields: DocumentFields | null
  /** Of all that is published: the same hash need not be published again. */
  readonly hash: string
  readonly from: ListedFile
}

export interface DocumentFields {
  readonly text: string
  readonly contentType?: string | undefined
  readonly title?: string | undefined
  readonly url?: string | undefined
  readonly language?: string | undefined
  readonly attributes?: Readonly<Record<string, string | number | boolean | string[]>> | undefined
}

/** A document goes through the door in one message of at most 1 MiB, and JSON needs some of it. */
export const FILE_BYTES_MAX = 900 * 1024
const JSONL_BYTES_MAX = 512 * 1024 * 1024

const contentTypes: Readonly<Record<Exclude<Format, 'jsonl'>, string>> = {
  text: 'text/plain',
  markdown: 'text/markdown',
  html: 'text/html',
}

/** The documents of a file, or what is wrong with it. Never throws for what the file holds. */
export async function* readDocuments(file: ListedFile): AsyncGenerator<FileDocument | Problem> {
  const { path, format } = file
  if (file.bytes === 0) return yield { path, reason: 'the file is empty; fill it, or remove it' }
  const bytesMax = format === 'jsonl' ? JSONL_BYTES_MAX : FILE_BYTES_MAX
  if (file.bytes > bytesMax)
    return yield {
      path,
      reason: `the file has ${file.bytes} bytes and ${bytesMax} is the limit; split it into several`,
    }
  const bytes = await readFile(path).catch((error: Error) => error)
  if (bytes instanceof Error)
    return yield { path, reason: `the file cannot be read (${bytes.message}); check its permissions` }
  const text = decode(bytes)
  if (typeof text !== 'string') return yield { path, reason: text.reason }
  if (format === 'jsonl') return yield* readLines(file, text)
  const fields: DocumentFields = {
    text,
    contentType: contentTypes[format],
    ...(format === 'text' && { title: basename(path, extname(path)) }),
    url: pathToFileURL(path).href,
    attributes: { path: file.id },
  }
  yield documentOf(file, file.id, fields)
}

/** Strict UTF-8, or UTF-16 where a byte order mark says so. */
function decode(bytes: Buffer): string | { reason: string } {
  const utf16 =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : null
  if (utf16 !== null) return new TextDecoder(utf16).decode(bytes)
  const zero = bytes.indexOf(0)
  if (zero !== -1) return { reason: `the file is binary (a zero byte at ${zero}); give text` }
  if (isUtf8(bytes)) return bytes.toString('utf8').replace(/^\uFEFF/, '')
  return { reason: `the file is not UTF-8 (byte ${firstBadByte(bytes)}); save it as UTF-8` }
}

function firstBadByte(bytes: Buffer): number {
  let low = 0
  let high = bytes.length
  // A prefix that ends inside a character is no proof, so the end is moved back to where a character begins.
  while (high - low > 1) {
    const middle = (low + high) >> 1
    let end = middle
    while (end > low && (bytes[end]! & 0xc0) === 0x80) end--
    if (end > low && isUtf8(bytes.subarray(low, end))) low = end
    else if (end > low) high = end
    else return low
  }
  return low
}

const line = z.union([
  z.strictObject({ id: z.string().min(1), delete: z.literal(true) }),
  z.strictObject({
    id: z.string().min(1),
    text: z.string(),
    contentType: z.string().optional(),
    title: z.string().optional(),
    url: z.string().optional(),
    language: z.string().optional(),
    attributes: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())])).optional(),
  }),
])

function* readLines(file: ListedFile, text: string): Generator<FileDocument | Problem> {
  for (const [i, content] of text.split('\n').entries()) {
    if (content.trim() === '') continue
    const at = { path: file.path, line: i + 1 }
    let json: unknown
    try {
      json = JSON.parse(content)
    } catch {
      yield {
        ...at,
        reason: `the line is not JSON (${JSON.stringify(content.slice(0, 40))}); write one object per line, like {"id":"a","text":"…"}`,
      }
      continue
    }
    const parsed = line.safeParse(json)
    if (!parsed.success) yield { ...at, reason: faultOf(json) }
    else if ('delete' in parsed.data) yield documentOf(file, parsed.data.id, null)
    else {
      const { id, ...fields } = parsed.data
      if (Buffer.byteLength(fields.text) > FILE_BYTES_MAX)
        yield {
          ...at,
          reason: `text: has ${Buffer.byteLength(fields.text)} bytes and ${FILE_BYTES_MAX} is the limit; split the document`,
        }
      else yield documentOf(file, id, fields)
    }
  }
}

function faultOf(json: unknown): string {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return 'the line is not an object; write one object per line, like {"id":"a","text":"…"}'
  const shape = 'delete' in json ? line.options[0] : line.options[1]
  const { issues } = shape.safeParse(json).error ?? { issues: [] }
  return issues
    .map((issue) =>
      issue.code === 'unrecognized_keys'
        ? `${issue.keys.join(', ')}: no such field; leave it out, or put it under attributes`
        : `${issue.path.join('.')}: ${issue.message}`,
    )
    .join('; ')
}

function documentOf(from: ListedFile, id: string, fields: DocumentFields | null): FileDocument {
  return { id, fields, from, hash: createHash('sha256').update(JSON.stringify(fields)).digest('hex') }
}
