import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { crc32, deflateRawSync } from 'node:zlib'
import { readDocx } from './docx.ts'
import { listFiles } from './list.ts'
import { readPdf } from './pdf.ts'
import { readDocuments } from './read.ts'

const paragraph = (text: string, style = '') =>
  `<w:p>${style && `<w:pPr><w:pStyle w:val="${style}"/></w:pPr>`}<w:r><w:t>${text}</w:t></w:r></w:p>`
const body = (xml: string) =>
  `<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body>${xml}</w:body></w:document>`

interface Entry {
  readonly name: string
  readonly content: Buffer | string
  /** What the archive says of it, if that is not true. */
  readonly claims?: number
}

/** A zip archive. */
function zip(entries: readonly Entry[]): Buffer {
  const locals: Buffer[] = []
  const centrals: Buffer[] = []
  let offset = 0
  for (const { name, content, claims } of entries) {
    const bytes = Buffer.from(content)
    const packed = deflateRawSync(bytes)
    const common = Buffer.alloc(26)
    common.writeUInt16LE(20, 0)
    common.writeUInt16LE(8, 4)
    common.writeUInt32LE(crc32(bytes), 10)
    common.writeUInt32LE(packed.length, 14)
    common.writeUInt32LE(claims ?? bytes.length, 18)
    common.writeUInt16LE(name.length, 22)
    const local = Buffer.concat([Buffer.from('PK\x03\x04'), common, Buffer.from(name), packed])
    const tail = Buffer.alloc(14)
    tail.writeUInt32LE(offset, 10)
    centrals.push(Buffer.concat([Buffer.from('PK\x01\x02\x14\x00'), common, tail, Buffer.from(name)]))
    locals.push(local)
    offset += local.length
  }
  const central = Buffer.concat(centrals)
  const end = Buffer.alloc(22)
  end.write('PK\x05\x06', 0, 'latin1')
  end.writeUInt16LE(entries.length, 8)
  end.writeUInt16LE(entries.length, 10)
  end.writeUInt32LE(central.length, 12)
  end.writeUInt32LE(offset, 16)
  return Buffer.concat([...locals, central, end])
}

/** A PDF with a page for each text. */
function pdf(pages: readonly string[], title: string): Buffer {
  const kids = pages.map((_, i) => `${4 + 2 * i} 0 R`).join(' ')
  const objects = [
    '<< /Type /Catalog /Pages 2 0 R >>',
    `<< /Type /Pages /Kids [${kids}] /Count ${pages.length} >>`,
    '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    ...pages.flatMap((text, i) => {
      const stream = `BT /F1 12 Tf 72 700 Td (${text}) Tj ET`
      return [
        `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Resources << /Font << /F1 3 0 R >> >> /Contents ${5 + 2 * i} 0 R >>`,
        `<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`,
      ]
    }),
    `<< /Title (${title}) >>`,
  ]
  let text = '%PDF-1.4\n'
  const offsets = objects.map((object, i) => {
    const at = text.length
    text += `${i + 1} 0 obj\n${object}\nendobj\n`
    return at
  })
  const table = offsets.map((at) => `${String(at).padStart(10, '0')} 00000 n \n`).join('')
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${table}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R /Info ${objects.length} 0 R >>\nstartxref\n${text.length}\n%%EOF\n`
  return Buffer.from(text, 'latin1')
}

test('a Word document is its text: headings, paragraphs, tables, and nothing that was deleted', async () => {
  const table = `<w:tbl><w:tr><w:tc>${paragraph('A')}</w:tc><w:tc>${paragraph('1')}</w:tc></w:tr><w:tr><w:tc>${paragraph('B')}</w:tc><w:tc>${paragraph('2')}</w:tc></w:tr></w:tbl>`
  const xml = body(
    `${paragraph('Returns', 'Heading1')}${paragraph('A parcel may &amp; will come back.')}<w:p><w:del><w:r><w:delText>never</w:delText></w:r></w:del><w:r><w:t>Within 30 days.</w:t></w:r></w:p>${table}`,
  )
  const core = '<cp:coreProperties><dc:title> Handbook </dc:title></cp:coreProperties>'

  const found = await readDocx(
    zip([
      { name: 'word/document.xml', content: xml },
      { name: 'docProps/core.xml', content: core },
    ]),
    '/docs/a.docx',
  )

  assert.deepEqual(found, {
    title: 'Handbook',
    text: '# Returns\n\nA parcel may & will come back.\n\nWithin 30 days.\n\nA\t1\n\nB\t2',
  })
})

test('an archive that unpacks to very much is refused before it is unpacked, whatever it says of itself', async () => {
  const bomb = Buffer.alloc(64 * 1024 * 1024, 'a')
  const [honest, lying] = [{}, { claims: 1_000 }].map((claims) =>
    zip([{ name: 'word/document.xml', content: bomb, ...claims }]),
  )

  assert.ok(honest!.length < 100_000, `${honest!.length} bytes are no bomb`)
  assert.match(
    reasonOf(await readDocx(honest!, 'a.docx')),
    /67108864 bytes of text when it is unpacked, more than 33554432/,
  )
  assert.match(reasonOf(await readDocx(lying!, 'a.docx')), /too many bytes/)
})

test('entities that a document declares itself are not expanded', async () => {
  const levels = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('')
  const laughs = `<!DOCTYPE lolz [<!ENTITY l0 "ha">${levels}]>${body(paragraph('&l9;'))}`

  const found = await readDocx(zip([{ name: 'word/document.xml', content: laughs }]), 'a.docx')

  assert.ok('text' in found && found.text.length < 100, JSON.stringify(found).slice(0, 200))
})

test('what is no Word document says so', async () => {
  assert.match(reasonOf(await readDocx(Buffer.from('none'), 'a.docx')), /is no Word document/)
  assert.match(reasonOf(await readDocx(zip([{ name: 'a', content: 'b' }]), 'a.docx')), /has no word\/document\.xml/)
})

test('a PDF is the text of its pages, with its title', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-pdf-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, 'a.pdf'), pdf(['A parcel may come back.', 'Within 30 days.'], 'Returns'))
  const { files } = await listFiles([join(folder, 'a.pdf')])

  const [document] = await Array.fromAsync(readDocuments(files[0]!))

  assert.ok(document !== undefined && 'fields' in document, JSON.stringify(document))
  const { text, title, contentType } = document.fields!
  assert.deepEqual([text, title, contentType], ['A parcel may come back.\n\nWithin 30 days.', 'Returns', 'text/plain'])
})

test('a PDF that is none, has too many pages, no text, or takes too long is a problem, and the process goes on', async () => {
  const two = pdf(['a', 'b'], 'T')

  assert.match(reasonOf(await readPdf(Buffer.from('%PDF-1.4 none'), 'a.pdf')), /is no PDF that can be read/)
  assert.match(reasonOf(await readPdf(two, 'a.pdf', { pagesMax: 1 })), /has 2 pages, more than 1; split it/)
  assert.match(reasonOf(await readPdf(pdf([' '], 'T'), 'a.pdf')), /has no text, perhaps pictures/)
  assert.match(reasonOf(await readPdf(two, 'a.pdf', { msMax: 1 })), /takes more than 0.001 s/)
})

const reasonOf = (found: object): string => ('reason' in found ? String(found.reason) : JSON.stringify(found))
