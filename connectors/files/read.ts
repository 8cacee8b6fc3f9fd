import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cleaningVersion } from '../../processors/clean-text.ts'
import { decodeText } from './decode.ts'
import { type DocumentFields, readJsonLines } from './json-lines.ts'
import type { Format, ListedFile, Problem } from './list.ts'

/** One document of a file, as its door takes it. */
export interface FileDocument {
  readonly id: string
  /** null: the file asks for its deletion. */
  readonly fields: DocumentFields | null
  /** Of all that is published and of how it is cleaned, and the file that it comes from: the same need not be published again. */
  readonly hash: string
  readonly from: ListedFile
}

/** Bytes of one document's file or text: it goes through the door in one message of at most 1 MiB, and JSON needs some of it. */
export const FILE_BYTES_MAX = 900 * 1024

const contentTypes: Readonly<Record<Exclude<Format, 'jsonl'>, string>> = {
  text: 'text/plain',
  markdown: 'text/markdown',
  html: 'text/html',
}

/** The documents of a file, or what is wrong with it. Never throws for what the file holds, nor if it is gone by now. */
export async function* readDocuments(file: ListedFile): AsyncGenerator<FileDocument | Problem> {
  const { path, format } = file
  if (format !== 'jsonl') {
    const read = await readWhole(file, contentTypes[format])
    yield 'reason' in read ? { path, reason: read.reason } : documentOf(file, file.id, read)
    return
  }
  for await (const line of readJsonLines(path, FILE_BYTES_MAX))
    yield 'reason' in line ? { path, ...line } : documentOf(file, line.id, line.fields)
}

async function readWhole(
  { path, id, bytes: listed, format }: ListedFile,
  contentType: string,
): Promise<DocumentFields | { reason: string }> {
  if (listed > FILE_BYTES_MAX) return tooLarge(listed)
  const bytes = await readFile(path).catch((error: Error) => error)
  if (bytes instanceof Error) return { reason: `cannot be read (${bytes.message}); check its permissions` }
  if (bytes.length === 0) return { reason: 'is empty; fill it, or remove it' }
  if (bytes.length > FILE_BYTES_MAX) return tooLarge(bytes.length)
  const text = decodeText(bytes)
  if (typeof text !== 'string') return text
  // The name is all the title that plain text has; the others have their own.
  const title = format === 'text' ? { title: basename(path, extname(path)) } : {}
  return { text, contentType, ...title, url: pathToFileURL(path).href, attributes: { path: id } }
}

const tooLarge = (bytes: number) => ({
  reason: `has ${bytes} bytes, more than ${FILE_BYTES_MAX}; split it into several files`,
})

function documentOf(from: ListedFile, id: string, fields: DocumentFields | null): FileDocument {
  const hash = createHash('sha256')
    .update(JSON.stringify([cleaningVersion, fields]))
    .digest('hex')
  return { id, fields, from, hash: id === from.id ? hash : `${hash} ${from.id}` }
}
