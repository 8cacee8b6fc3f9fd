import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { cleanDocument, type RawDocument } from '../../processors/clean-text.ts'
import { decodeText } from './decode.ts'
import { listFiles, type Problem } from './list.ts'
import { FILE_BYTES_MAX, type FileDocument, readDocuments } from './read.ts'

/** Writes a file and reads its documents. */
async function read(t: TestContext, name: string, content: string | Buffer): Promise<(FileDocument | Problem)[]> {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-read-'))
  t.after(() => rmSync(folder, { recursive: true }))
  writeFileSync(join(folder, name), content)
  const { files } = await listFiles([join(folder, name)])
  return Array.fromAsync(readDocuments(files[0]!))
}

const reasons = (all: readonly (FileDocument | Problem)[]) =>
  all.map((each) => ('reason' in each ? `${each.line ?? ''} ${each.reason}` : each.id))

test('a file is a document that cleaning accepts, with where it is as its URL', async (t) => {
  const [document] = (await read(t, 'Green tea.txt', '\ufeffHello, tea')) as [FileDocument]

  const { url, ...fields } = document.fields!
  assert.equal(document.id, 'Green tea.txt')
  assert.deepEqual(fields, {
    text: 'Hello, tea',
    contentType: 'text/plain',
    title: 'Green tea',
    attributes: { path: 'Green tea.txt' },
  })
  assert.match(url!, /^file:\/\/\/.*\/Green%20tea\.txt$/)
  assert.equal(cleanDocument({ language: null, ...document.fields } as RawDocument).title, 'Green tea')
})

test('Markdown and HTML keep their own titles', async (t) => {
  const [markdown] = (await read(t, 'a.md', '# Tea')) as [FileDocument]
  const [html] = (await read(t, 'a.htm', '<h1>Tea</h1>')) as [FileDocument]

  assert.deepEqual([markdown.fields?.contentType, markdown.fields?.title], ['text/markdown', undefined])
  assert.deepEqual([html.fields?.contentType, html.fields?.title], ['text/html', undefined])
})

test('the hash is the same for the same content, and another for another', async (t) => {
  const lines = '{"id":"a","text":"x"}\n{"id":"b","text":"x"}\n{"id":"c","text":"x","title":"y"}'

  const [a, b, c] = (await read(t, 'a.jsonl', lines)) as FileDocument[]

  assert.equal(a?.hash, b?.hash)
  assert.notEqual(a?.hash, c?.hash)
  assert.match(a!.hash, / a\.jsonl$/)
})

test('files that are no text are problems that say why and what to do', async (t) => {
  assert.deepEqual(reasons(await read(t, 'a.txt', '')), [' is empty; fill it, or remove it'])
  assert.deepEqual(reasons(await read(t, 'a.jsonl', '\n \n')), [' is empty; fill it, or remove it'])
  assert.match(
    reasons(await read(t, 'a.md', 'x'.repeat(FILE_BYTES_MAX + 1)))[0]!,
    /^ has 921601 bytes, more than 921600; split it/,
  )
  assert.match(
    reasons(await read(t, 'a.txt', Buffer.from([0x61, 0, 0x62])))[0]!,
    /^ is binary \(a zero byte at offset 1\)/,
  )
  assert.match(
    reasons(await read(t, 'a.txt', Buffer.from('käse', 'latin1')))[0]!,
    /^ is not UTF-8 \(the byte 0xe4 at offset 1\); save it as UTF-8$/,
  )
})

test('a file that is gone by the time it is read is a problem, never a throw', async () => {
  const file = {
    path: join(tmpdir(), 'freshet-no-such.md'),
    id: 'a',
    folder: null,
    bytes: 1,
    format: 'markdown',
  } as const

  const [markdown] = await Array.fromAsync(readDocuments(file))
  const [jsonl] = await Array.fromAsync(readDocuments({ ...file, format: 'jsonl' }))

  assert.match(reasons([markdown!])[0]!, /^ cannot be read \(ENOENT/)
  assert.match(reasons([jsonl!])[0]!, /^ cannot be read \(ENOENT/)
})

test('UTF-16 with its byte order mark is read, and its halves are not taken for text', () => {
  const little = Buffer.from('\ufeffTee 😀', 'utf16le')

  assert.equal(decodeText(little), 'Tee 😀')
  assert.equal(decodeText(Buffer.from(little).swap16()), 'Tee 😀')
  assert.deepEqual(decodeText(little.subarray(0, -2)), { reason: 'begins like UTF-16 and is not; save it as UTF-8' })
})

test('the first byte that is not UTF-8 is found behind any that are', () => {
  const before = Buffer.from('é\ufffd😀a')
  const wrong = [[0xff], [0xc3], [0xe2, 0x82], [0xed, 0xa0, 0x80], [0x80, 0x61]]

  for (const bytes of wrong)
    assert.match(
      (decodeText(Buffer.concat([before, Buffer.from(bytes)])) as { reason: string }).reason,
      /at offset 10\)/,
    )
})

test('each line of a JSONL file is a document or a deletion, and a bad one does not stop the others', async (t) => {
  const lines = [
    '{"id":"a","text":"one","title":null,"attributes":{"n":1,"tags":["x"]}}\r',
    '{"id":"b","delete":true}',
    '',
    '{"id":"c"',
    '["d"]',
    '{"id":"e"}',
    '{"id":"","text":"x"}',
    '{"id":"f\\u0007","text":"x"}',
    `{"id":"${'g'.repeat(600)}","text":"x"}`,
    '{"id":"h","text":"x","colour":"red"}',
    '{"id":"i","text":"x","attributes":{"a":{"b":1}}}',
    `{"id":"j","text":"${'x'.repeat(FILE_BYTES_MAX + 1)}"}`,
    '{"id":"k","text":"last"}',
  ].map((line) => Buffer.from(line))
  lines.push(Buffer.from('{"id":"l","text":"k\u00e4se"}', 'latin1'))

  const found = await read(t, 'a.jsonl', Buffer.concat(lines.flatMap((line) => [line, Buffer.from('\n')])))

  const said = reasons(found)
  const expected = [
    /^a$/,
    /^b$/,
    /^4 is not JSON \("\{\\"id\\":\\"c\\""\); write one object per line/,
    /^5 is not an object; write one object/,
    /^6 text: .*expected string.*; write one object/,
    /^7 id: is empty /,
    /^8 id: has control characters \("f\\u0007"\); remove them$/,
    /^9 id: has 607 bytes .*more than 512; use a shorter id$/,
    /^10 colour: no such field; leave it out, or put it under attributes$/,
    /^11 attributes\.a: .*; give a string, number, boolean or list of strings$/,
    /^12 text: has 921601 bytes, more than 921600; split the document$/,
    /^k$/,
    /^14 is not UTF-8 \(the byte 0xe4 at offset 19\)/,
  ]
  assert.equal(said.length, expected.length)
  for (const [i, pattern] of expected.entries()) assert.match(said[i]!, pattern)
  assert.equal((found[1] as FileDocument).fields, null)
  assert.deepEqual((found[0] as FileDocument).fields?.attributes, { n: 1, tags: ['x'] })
})

test('a line without end is refused without being held, and lines across read chunks are whole', async (t) => {
  const long = `{"id":"a","text":"${'é'.repeat(300_000)}"}`

  const found = await read(t, 'a.jsonl', `${long}\n${'x'.repeat(9 * 1024 * 1024)}\n{"id":"b","text":"y"}`)

  assert.deepEqual(reasons(found), ['a', '2 has more than 8388608 bytes; split the document', 'b'])
  assert.equal((found[0] as FileDocument).fields?.text.length, 300_000)
})
