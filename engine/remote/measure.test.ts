import assert from 'node:assert/strict'
import { test } from 'node:test'
import { split } from '../splitting.ts'
import { byBytes } from './measure.ts'
import { model } from './remote.fixture.ts'
import { type RemoteModel, remoteSpaceOf } from './remote-space.ts'

const texts = [
  'A plain sentence, of words.',
  '東京大学は日本の国立大学である。春になると川は増水する。',
  '😀😀😀 0xdeadbeef==0123456789abcdef0123456789abcdef '.repeat(9),
  'x'.repeat(3_000),
]

test('with one byte for a token no text has fewer tokens than bytes that are not white space', async () => {
  const measure = byBytes(1)

  for (const text of texts) assert.ok((await measure.count(text)) >= Buffer.byteLength(text.replace(/\s/g, '')))
})

test('chunks are within the bound by the same count', async () => {
  const measure = byBytes(2)

  const chunks = (await Promise.all(texts.map((text) => split(text.repeat(5), measure.words, 254)))).flat()

  assert.ok(chunks.length > 20)
  for (const { text } of chunks) assert.ok((await measure.count(text)) <= 256, text)
})

test('what is too long is cut at a word’s end, and what fits stays whole', async () => {
  const measure = byBytes(2)

  const cut = await measure.start(texts[0]!.repeat(40), 64)
  const whole = await measure.start(texts[0]!, 64)
  const noWords = await measure.start('x'.repeat(3_000), 5)

  assert.ok(texts[0]!.repeat(40).startsWith(cut.text) && cut.text.length > 60)
  assert.equal(await measure.count(cut.text), cut.tokens)
  assert.ok(cut.tokens <= 64)
  assert.equal(whole.text, texts[0])
  assert.ok(noWords.text.length > 0 && noWords.text.length <= 16)
})

test('whatever is declared differently is another space', () => {
  const changes: Partial<RemoteModel>[] = [
    { name: 'other' },
    { revision: '2' },
    { dimensions: 65 },
    { maxTokens: 128 },
    { prompts: { document: '', query: 'query: ' } },
  ]
  const byTwo = byBytes(2)

  const ids = changes.map((change) => remoteSpaceOf({ ...model, ...change }, byTwo).id)
  const counted = remoteSpaceOf(model, byBytes(3)).id

  assert.equal(new Set([...ids, counted, remoteSpaceOf(model, byTwo).id]).size, changes.length + 2)
})
