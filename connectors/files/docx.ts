import { basename, extname } from 'node:path'
import type { FoundDocument } from './read.ts'

/** Bytes of the text's XML when it is unpacked; a small file may claim to be, or be, very much more. */
const XML_BYTES_MAX = 32 * 1024 * 1024
/** Entries of the archive; a document with many pictures has hundreds. */
const ENTRIES_MAX = 10_000
const BODY = 'word/document.xml'
const CORE = 'docProps/core.xml'

/**
 * The text of a Word document: headings as lines that begin with #, a line for each paragraph, cells of a row with tabs between. What was deleted under
 * "track changes", comments, headers and footnotes are left out. Nothing but its text is unpacked, and never more than the bound, whatever the archive says of itself.
 */
export async function readDocx(bytes: Buffer, path: string): Promise<FoundDocument | { readonly reason: string }> {
  const parts = await unpacked(bytes, [BODY, CORE])
  if ('reason' in parts) return parts
  const body = parts.get(BODY)
  if (body === undefined) return { reason: `is no Word document (it has no ${BODY}); save it as .docx` }
  const text = await textOf(body.toString('utf8'))
  const title = /<dc:title>([^<]{1,1000})<\/dc:title>/.exec(parts.get(CORE)?.toString('utf8') ?? '')?.[1]?.trim()
  return { text, title: title || basename(path, extname(path)) }
}

async function unpacked(
  bytes: Buffer,
  wanted: readonly string[],
): Promise<Map<string, Buffer> | { readonly reason: string }> {
  const { fromBufferPromise } = await import('yauzl')
  const parts = new Map<string, Buffer>()
  try {
    const archive = await fromBufferPromise(bytes, { lazyEntries: true })
    if (archive.entryCount > ENTRIES_MAX)
      return { reason: `has ${archive.entryCount} entries, more than ${ENTRIES_MAX}; save it anew` }
    for await (const entry of archive.eachEntry()) {
      if (!wanted.includes(entry.fileName)) continue
      if (entry.isEncrypted()) return { reason: 'is encrypted; save it without a password' }
      if (entry.uncompressedSize > XML_BYTES_MAX) return tooLarge(entry.uncompressedSize)
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of await archive.openReadStreamPromise(entry)) {
        size += (chunk as Buffer).length
        if (size > XML_BYTES_MAX) return tooLarge(size)
        chunks.push(chunk as Buffer)
      }
      parts.set(entry.fileName, Buffer.concat(chunks))
    }
    return parts
  } catch (error) {
    return { reason: `is no Word document that can be read (${(error as Error).message}); save it anew as .docx` }
  }
}

const tooLarge = (bytes: number) => ({
  reason: `has ${bytes} bytes of text when it is unpacked, more than ${XML_BYTES_MAX}; split it into several files`,
})

async function textOf(xml: string): Promise<string> {
  const { Parser } = await import('htmlparser2')
  const lines: string[] = []
  let line = ''
  let heading = 0
  let isText = false
  let inCell = 0
  const parser = new Parser(
    {
      onopentag(name, attributes) {
        if (name === 'w:p' && inCell === 0) {
          line = ''
          heading = 0
        } else if (name === 'w:pStyle') heading = headingOf(attributes['w:val'] ?? '')
        else if (name === 'w:t') isText = true
        else if (name === 'w:tab') line += '\t'
        else if (name === 'w:br' || name === 'w:cr') line += inCell > 0 ? ' ' : '\n'
        else if (name === 'w:tc') inCell++
        else if (name === 'w:tr' && inCell === 0) line = ''
      },
      ontext(text) {
        if (isText) line += text
      },
      onclosetag(name) {
        if (name === 'w:t') isText = false
        else if (name === 'w:p' && inCell === 0)
          lines.push(heading > 0 ? `${'#'.repeat(heading)} ${line.trim()}` : line)
        else if (name === 'w:p') line += ' '
        else if (name === 'w:tc') {
          inCell--
          line = `${line.trimEnd()}\t`
        } else if (name === 'w:tr' && inCell === 0) lines.push(line.trimEnd())
      },
    },
    { xmlMode: true, decodeEntities: true },
  )
  parser.write(xml)
  parser.end()
  return lines.join('\n\n')
}

/** Word calls them so in every language's file format; Title is the first. */
function headingOf(style: string): number {
  if (/^title$/i.test(style)) return 1
  return Math.min(6, Number(/^heading ?([1-9])$/i.exec(style)?.[1] ?? 0))
}
