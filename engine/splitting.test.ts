import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Chunk } from './embedder.ts'
import { hashEngine } from './hash-engine.ts'
import { split } from './splitting.ts'
import type { Words } from './units.ts'

const tokensMax = 254

const chunksOf = (text: string) => split(text, async (piece) => wordsIn(piece), tokensMax)
const textsOf = async (text: string) => (await chunksOf(text)).map((chunk) => chunk.text)
const sentencesOf = (count: number, words = 9) =>
  Array.from({ length: count }, (_, i) => `Sentence ${i}${' goes on'.repeat((words - 2) / 2)}.`)

test('a short text is one chunk without the white space around it', async () => {
  const chunks = await chunksOf('\n  Kafka keeps a log.\n\nIt is read in order. \n')

  assert.deepEqual(chunks, [{ ordinal: 0, start: 3, end: 43, text: 'Kafka keeps a log.\n\nIt is read in order.' }])
})

test('a text of nothing but white space has no chunks', async () => {
  assert.deepEqual(await chunksOf(''), [])
  assert.deepEqual(await chunksOf(' \n\t\r\n '), [])
})

test('a large section starts a chunk with its heading', async () => {
  const section = (title: string) => `## ${title}\n\n${sentencesOf(18).join(' ')}\n`

  const texts = await textsOf(['Install', 'Configure', 'Run'].map(section).join('\n'))

  assert.deepEqual(
    texts.map((text) => text.split('\n')[0]),
    ['## Install', '## Configure', '## Run'],
  )
})

test('small sections share a chunk', async () => {
  const texts = await textsOf('# A\n\nOne line.\n\n# B\n\nOne more line.\n\n# C\n\nThe last line.\n')

  assert.equal(texts.length, 1)
})

test('a heading never ends a chunk', async () => {
  const text = Array.from({ length: 60 }, (_, i) => `### Part ${i}\n\n${sentencesOf(1 + (i % 23)).join(' ')}`).join(
    '\n\n',
  )

  const texts = await textsOf(text)

  for (const text of texts) assert.doesNotMatch(text.split('\n').at(-1)!, /^###/)
})

test('a comment in fenced code is no heading', async () => {
  const code = `\`\`\`sh\n# sets it up\n${'npm install\n'.repeat(30)}\`\`\``

  const texts = await textsOf(`${sentencesOf(16).join(' ')}\n\n${code}`)

  assert.equal(texts.length, 1)
})

test('a long section is cut between paragraphs where it can be', async () => {
  const paragraphs = Array.from({ length: 6 }, () => sentencesOf(8).join(' '))

  const texts = await textsOf(paragraphs.join('\n\n'))

  for (const text of texts) assert.ok(text.split('\n\n').every((paragraph) => paragraphs.includes(paragraph)))
})

test('a paragraph that does not fit is cut between sentences, and whole sentences are repeated', async () => {
  const sentences = sentencesOf(60)

  const chunks = await chunksOf(sentences.join(' '))

  assert.ok(chunks.length > 2)
  for (const { text } of chunks) assert.match(text, /^Sentence .*\.$/)
  for (const [i, chunk] of chunks.slice(1).entries()) {
    const repeated = chunks[i]!.end - chunk.start
    assert.ok(repeated > 40 && tokensIn(chunk.text.slice(0, repeated)) <= 32)
  }
})

test('nothing is repeated across a heading', async () => {
  const text = `# A\n\n${sentencesOf(40).join(' ')}\n\n# B\n\n${sentencesOf(40).join(' ')}`

  const chunks = await chunksOf(text)

  const b = chunks.find((chunk) => chunk.text.startsWith('# B'))!
  assert.equal(chunks[b.ordinal - 1]!.end, b.start - 2)
})

test('lines of wrapped prose are not taken for sentences, items of a list are', async () => {
  const wrapped = Array.from({ length: 40 }, () => 'This line of prose goes on\nand on and on\nuntil its end.').join(
    '\n',
  )
  const list = Array.from({ length: 80 }, (_, i) => `- item ${i} of the list`).join('\n')

  const [prose, items] = [await textsOf(wrapped), await textsOf(list)]

  assert.ok(prose.length > 1 && items.length > 1)
  for (const text of prose) assert.match(text, /^This[\s\S]*end\.$/)
  for (const text of items) assert.match(text, /^- item[\s\S]*list$/)
})

test('a remainder that still fits is not cut off', async () => {
  const paragraph = sentencesOf(24).join(' ')

  const texts = await textsOf(paragraph)

  assert.ok(tokensIn(paragraph) > 210 && tokensIn(paragraph) < tokensMax)
  assert.equal(texts.length, 1)
})

test('a word of 100,000 characters is cut into chunks of a bounded length', async () => {
  const chunks = await chunksOf(`before ${'x'.repeat(100_000)} after`)

  assert.ok(chunks.every((chunk) => chunk.text.length <= 2_100))
  assert.equal(chunks[0]!.start, 0)
  assert.ok(chunks.at(-1)!.text.endsWith('after'))
})

test('no chunk starts or ends inside a character', async () => {
  const chunks = await chunksOf(`x${'😀🌊𠀀'.repeat(20_000)}`)

  for (const { text } of chunks) assert.ok(text.isWellFormed())
})

test('where a text without white space was tokenised apart, no chunk goes across', async () => {
  const place = 8_192
  const text = `${'words '.repeat(670)}\n# Title\n${`${'x'.repeat(900)}.`.repeat(5)}`

  const chunks = await chunksOf(text)

  assert.ok(chunks.some((chunk) => chunk.start === place))
  assert.ok(chunks.every((chunk) => chunk.end <= place || chunk.start >= place))
})

test('two megabytes do not hold up the event loop', async () => {
  const text = `${sentencesOf(20).join(' ')}\n\n`.repeat(3_000)
  let turns = 0
  const counting = setInterval(() => turns++, 1)

  const chunks = await chunksOf(text)

  clearInterval(counting)
  assert.ok(text.length > 2_000_000 && chunks.length > 2_000)
  assert.ok(turns > text.length / 8_192 / 4, `${turns} turns`)
})

test('every character but white space is in a chunk, spans ascend, no chunk has too many tokens, and again gives the same', async () => {
  const parts = fc.oneof(
    fc.constantFrom(
      '# ',
      '## Title\n',
      '\n',
      '\n\n',
      '\r\n\r\n',
      ' ',
      '. ',
      '```\n',
      '- ',
      '😀',
      '\ud800',
      '\u200b',
      'e\u0301',
      '。',
      '\u0085',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('word ', 'A sentence ends. ', '春になると', 'x'.repeat(99), 'y'.repeat(1_500)),
    fc
      .tuple(fc.constantFrom('word ', 'It ends. ', 'a\n\n', '# h\n', '川', ' ', '\u200b', 'z'), fc.nat(900))
      .map(([s, n]) => s.repeat(n)),
  )
  const texts = fc.array(parts, { maxLength: 40 }).map((all) => all.join(''))

  await fc.assert(
    fc.asyncProperty(texts, async (text) => {
      const chunks = await chunksOf(text)

      assertCovers(text, chunks)
      for (const chunk of chunks) assert.ok(tokensIn(chunk.text) <= tokensMax)
      assert.deepEqual(await chunksOf(text), chunks)
    }),
    { numRuns: 150 },
  )
})

test('the hash engine splits by the same rules', async () => {
  const text = sentencesOf(100).join(' ')

  const chunks = await hashEngine().split(text)

  assertCovers(text, chunks)
  assert.ok(chunks.length > 3)
})

function assertCovers(text: string, chunks: readonly Chunk[]): void {
  let covered = 0
  for (const [i, chunk] of chunks.entries()) {
    assert.equal(chunk.ordinal, i)
    assert.equal(chunk.text, text.slice(chunk.start, chunk.end))
    assert.ok(chunk.text.length > 0 && chunk.text === chunk.text.trim())
    if (i > 0) assert.ok(chunk.start > chunks[i - 1]!.start && chunk.end > chunks[i - 1]!.end)
    assert.equal(text.slice(covered, Math.max(covered, chunk.start)).trim(), '')
    covered = chunk.end
  }
  assert.equal(text.slice(covered).trim(), '')
}

/** Like the models: words are parted by white space and marks; one of over 100 letters is a single unknown token, else one per three. */
function wordsIn(text: string): Words {
  const found = [...text.matchAll(/[\p{L}\p{M}\p{N}]+|[^\p{L}\p{M}\p{N}\s\p{C}]/gu)]
  return {
    starts: Uint32Array.from(found, ({ index }) => index),
    ends: Uint32Array.from(found, (match) => match.index + match[0].length),
    tokens: Uint32Array.from(found, ([word]) => (word.length > 100 ? 1 : Math.ceil(word.length / 10))),
  }
}

function tokensIn(text: string): number {
  return wordsIn(text).tokens.reduce((sum, tokens) => sum + tokens, 0)
}
