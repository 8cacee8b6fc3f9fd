import { createReadStream } from 'node:fs'
import { open } from 'node:fs/promises'
import { pipeline, Readable } from 'node:stream'
import { type Columns, columnsOf, documentOfRow } from './columns.ts'
import { utf16Of } from './decode.ts'
import { checkId, type JsonLine, type LineProblem } from './json-lines.ts'

/**
 * The documents of a table: its first row names the columns, each other one is a document. Reads as it goes, so the file may be of any size.
 * Commas, semicolons and tabs are told apart by the first row. A bad row is a problem of its own; what cannot be read on is one of the whole file.
 */
export async function* readCsv(
  path: string,
  columns: Columns,
  textBytesMax: number,
): AsyncGenerator<JsonLine | LineProblem> {
  // Loaded here, so that who ingests no table does not pay for it.
  const { parse } = await import('csv-parse')
  const skipped: LineProblem[] = []
  const ids = new Map<string, number>()
  try {
    const first = await beginningOf(path)
    if (first.length === 0) return yield { reason: 'is empty; fill it, or remove it' }
    if (utf16Of(first) !== null) return yield { reason: 'is UTF-16; save it as UTF-8' }
    const parser = parse({
      bom: true,
      columns: (header: string[]) => withThese(header, columns),
      delimiter: delimiterOf(first),
      info: true,
      max_record_size: ROW_CHARS_MAX,
      skip_empty_lines: true,
      skip_records_with_error: true,
      on_skip(error) {
        // Mostly a quote that is not closed: what follows is no row.
        if (error?.code === 'CSV_MAX_RECORD_SIZE' || error?.code === 'CSV_QUOTE_NOT_CLOSED') parser.destroy(error)
        skipped.push({ line: lineOf(error), reason: `${error?.message ?? 'cannot be read'}; mend the row` })
        return undefined
      },
    })
    // Ends the parser with what is wrong with the file; the loop below throws it.
    pipeline(Readable.from(decoded(path)), parser, () => {})
    const rows = parser as AsyncIterable<{ record: Record<string, string>; info: { lines: number } }>
    for await (const { record, info } of rows) {
      yield* skipped.splice(0)
      const row = documentOfRow(record, columns)
      const problem = 'reason' in row ? row.reason : faultIn(row, ids, textBytesMax)
      if (problem !== null) {
        yield { line: info.lines, reason: problem }
        continue
      }
      const { id } = row as JsonLine
      ids.set(id, info.lines)
      yield row as JsonLine
    }
    yield* skipped.splice(0)
  } catch (error) {
    yield { reason: `cannot be read (${(error as Error).message}); mend it, and check its permissions` }
  }
}

/** Characters of a row: room for a text of the largest size, with quotes doubled. */
const ROW_CHARS_MAX = 2 * 1024 * 1024
const BEGINNING_BYTES = 64 * 1024

function faultIn({ id, fields }: JsonLine, ids: ReadonlyMap<string, number>, textBytesMax: number): string | null {
  const wrong = checkId(id)
  if (wrong !== null) return `id: ${wrong}`
  const former = ids.get(id)
  if (former !== undefined) return `id: ${JSON.stringify(id)} is that of line ${former} too; give each row its own`
  const bytes = Buffer.byteLength(fields?.text ?? '')
  return bytes > textBytesMax ? `text: has ${bytes} bytes, more than ${textBytesMax}; split the document` : null
}

function withThese(header: readonly string[], columns: Columns): string[] {
  const names = header.map((name) => name.trim())
  const missing = columnsOf(columns).filter((name) => !names.includes(name))
  if (missing.length > 0) throw new Error(`there is no column ${missing.join(', ')}; there are: ${names.join(', ')}`)
  return names
}

/** What is most of in the first row. */
function delimiterOf(beginning: Buffer): string {
  const [line = ''] = beginning.toString('utf8').split('\n')
  const counted = [',', ';', '\t'].map((mark) => ({ mark, count: line.split(mark).length }))
  return counted.reduce((best, each) => (each.count > best.count ? each : best)).mark
}

async function beginningOf(path: string): Promise<Buffer> {
  await using file = await open(path)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(BEGINNING_BYTES), 0, BEGINNING_BYTES, 0)
  return buffer.subarray(0, bytesRead)
}

/** Strictly: what is no UTF-8 would be other words. */
async function* decoded(path: string): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
  try {
    for await (const chunk of createReadStream(path)) yield decoder.decode(chunk as Buffer, { stream: true })
    yield decoder.decode()
  } catch (error) {
    throw error instanceof TypeError ? new Error('is not UTF-8; save it as UTF-8') : error
  }
}

const lineOf = (error: unknown): number => (error as { lines?: number } | undefined)?.lines ?? 0
