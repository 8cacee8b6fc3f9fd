import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { basename, extname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { cleaningVersion } from '../../processors/clean-text.ts'
import type { Columns } from './columns.ts'
import { readCsv } from './csv.ts'
import { decodeText } from './decode.ts'
import { readDocx } from './docx.ts'
import { type DocumentFields, type JsonLine, type LineProblem, readJsonLines } from './json-lines.ts'
import type { Format, ListedFile, Problem } from './list.ts'
import { readPdf } from './pdf.ts'

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

/** Bytes of a file of which only the text is kept. */
export const RICH_FILE_BYTES_MAX = 64 * 1024 * 1024

type Whole = Exclude<Format, 'jsonl' | 'csv'>

/** What a file of one document says. */
export interface FoundDocument {
  readonly text: string
  /** Absent: it is in the text. */
  readonly title?: string
}

interface Reader {
  readonly contentType: string
  readonly bytesMax: number
  read(bytes: Buffer, path: string): FoundDocument | { reason: string } | Promise<FoundDocument | { reason: string }>
}

const asText = (bytes: Buffer): FoundDocument | { reason: string } => {
  const text = decodeText(bytes)
  return typeof text === 'string' ? { text } : text
}

const readers: Readonly<Record<Whole, Reader>> = {
  text: {
    contentType: 'text/plain',
    bytesMax: FILE_BYTES_MAX,
    read(bytes, path) {
      const found = asText(bytes)
      // The name is all the title that plain text has; the others have their own.
      return 'reason' in found ? found : { ...found, title: basename(path, extname(path)) }
    },
  },
  markdown: { contentType: 'text/markdown', bytesMax: FILE_BYTES_MAX, read: asText },
  html: { contentType: 'text/html', bytesMax: FILE_BYTES_MAX, read: asText },
  pdf: { contentType: 'text/plain', bytesMax: RICH_FILE_BYTES_MAX, read: (bytes, path) => readPdf(bytes, path) },
  docx: { contentType: 'text/plain', bytesMax: RICH_FILE_BYTES_MAX, read: readDocx },
}

/** The documents of a file, or what is wrong with it. Never throws for what the file holds, nor if it is gone by now. `columns` are those of tables. */
export async function* readDocuments(file: ListedFile, columns?: Columns): AsyncGenerator<FileDocument | Problem> {
  const { path, format } = file
  if (format === 'csv' && columns === undefined) {
    yield { path, reason: 'is a table; say which columns are the id and the text, with --id and --text' }
  } else if (format === 'csv' || format === 'jsonl') {
    const lines = format === 'csv' ? readCsv(path, columns!, FILE_BYTES_MAX) : readJsonLines(path, FILE_BYTES_MAX)
    for await (const line of lines) yield ofLine(file, line)
  } else {
    const read = await readWhole(file, readers[format])
    yield 'reason' in read ? { path, reason: read.reason } : documentOf(file, file.id, read)
  }
}

const ofLine = (file: ListedFile, line: JsonLine | LineProblem): FileDocument | Problem =>
  'reason' in line ? { path: file.path, ...line } : documentOf(file, line.id, line.fields)

async function readWhole(
  { path, id, bytes: listed }: ListedFile,
  { contentType, bytesMax, read }: Reader,
): Promise<DocumentFields | { reason: string }> {
  if (listed > bytesMax) return tooLarge(listed, bytesMax)
  const bytes = await readFile(path).catch((error: Error) => error)
  if (bytes instanceof Error) return { reason: `cannot be read (${bytes.message}); check its permissions` }
  if (bytes.length === 0) return { reason: 'is empty; fill it, or remove it' }
  if (bytes.length > bytesMax) return tooLarge(bytes.length, bytesMax)
  const found = await read(bytes, path)
  if ('reason' in found) return found
  const size = Buffer.byteLength(found.text)
  if (size > FILE_BYTES_MAX) return tooLarge(size, FILE_BYTES_MAX, ' of text')
  const { text, ...title } = found
  return { text, contentType, ...title, url: pathToFileURL(path).href, attributes: { path: id } }
}

const tooLarge = (bytes: number, bytesMax: number, of = '') => ({
  reason: `has ${bytes} bytes${of}, more than ${bytesMax}; split it into several files`,
})

function documentOf(from: ListedFile, id: string, fields: DocumentFields | null): FileDocument {
  const hash = hashOf(fields)
  return { id, fields, from, hash: id === from.id ? hash : `${hash} ${from.id}` }
}

/** Of all that is published and of how it is cleaned: the same need not be published again. */
export const hashOf = (fields: DocumentFields | null): string =>
  createHash('sha256')
    .update(JSON.stringify([cleaningVersion, fields]))
    .digest('hex')
