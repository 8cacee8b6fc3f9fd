import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { modelsDir } from './models.fixture.ts'
import { split } from './splitting.ts'
import { createTokenizer } from './tokenizer.ts'

const tokenizer = createTokenizer(await readFile(join(modelsDir, 'all-minilm-l6-v2-q', '1', 'tokenizer.json'), 'utf8'))

test('words are found at their place in UTF-16, after emoji and rare ideographs too', async () => {
  const text = '😀 kafka 𠀀𠀁 e\u0301te \ud800 offsets'

  const { starts, ends, tokens } = await tokenizer.words(text)

  const found = [...starts].map((start, i) => text.slice(start, ends[i]))
  assert.deepEqual(found, ['😀', 'kafka', '𠀀', '𠀁', 'e\u0301te', 'offsets'])
  assert.equal(
    tokens.reduce((sum, count) => sum + count),
    (await tokenizer.ids(text, 256)).ids.length - 2,
  )
})

test('a text is not cut at the 128 tokens that the file of the tokenizer asks for, nor padded', async () => {
  const long = await tokenizer.ids('word '.repeat(400), 256)
  const short = await tokenizer.ids('word', 256)

  assert.equal(long.ids.length, 256)
  assert.equal(long.truncated, true)
  assert.equal(long.ids.at(-1), short.ids.at(-1))
  assert.deepEqual([short.ids.length, short.truncated], [3, false])
})

test('no chunk of any text has more tokens than allowed when it is tokenised alone', async () => {
  const parts = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 30 }),
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.lorem({ maxCount: 60, mode: 'words' }),
    fc
      .tuple(
        fc.constantFrom(
          '한국어',
          'ΑΣ',
          'ſ',
          'İ',
          '[SEP]',
          '[MASK]x',
          '川',
          '😀',
          '\u200b',
          '\u0085',
          '\u0301',
          'ﷺ',
          '½',
          'a-',
          'x',
          '≠',
          '# h\n',
          '. ',
        ),
        fc.nat(1_200),
      )
      .map(([text, count]) => text.repeat(count)),
  )
  const texts = fc.array(parts, { maxLength: 12 }).map((all) => all.join(' '))

  await fc.assert(
    fc.asyncProperty(texts, fc.constantFrom('', ' '), async (text, glue) => {
      for (const chunk of await split(text + glue + text, tokenizer.words, 254)) {
        const { ids } = await tokenizer.ids(chunk.text, 1_000_000)
        assert.ok(ids.length <= 256, `${ids.length} tokens in ${JSON.stringify(chunk.text)}`)
      }
    }),
    { numRuns: 100 },
  )
})
