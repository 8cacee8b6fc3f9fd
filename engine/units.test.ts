import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findUnits, type Words } from './units.ts'

const start = { inCode: false, bound: 'paragraph' as const }

test('headings, paragraphs and sentences start units, and what follows a heading is glued to it', () => {
  const text = 'One. Two.\n\nThree.\n\n# Title\n\nFour.\n'

  const { units } = findUnits(text, wordsAt(text), start)

  assert.deepEqual(
    units.map((unit) => [text.slice(unit.start, unit.end).trim(), unit.bound, unit.cost]),
    [
      ['One.', 'paragraph', 1],
      ['Two.', 'sentence', 1],
      ['Three.', 'paragraph', 1],
      ['# Title', 'heading', 2],
      ['Four.', 'glued', 1],
    ],
  )
})

test('a sentence does not start inside what the model takes for one word', () => {
  const text = 'One. Two.'

  const { units } = findUnits(
    text,
    { starts: Uint32Array.of(0), ends: Uint32Array.of(9), tokens: Uint32Array.of(4) },
    start,
  )

  assert.deepEqual(units, [{ start: 0, end: 9, bound: 'paragraph', cost: 4 }])
})

test('each part of a cut word counts as the most tokens that a word can have', () => {
  const text = 'x'.repeat(2_500)

  const { units } = findUnits(text, wordsAt(text), start)

  assert.deepEqual(
    units.map((unit) => [unit.end - unit.start, unit.cost]),
    [
      [1_000, 100],
      [1_000, 100],
      [500, 100],
    ],
  )
})

test('a text of which the model sees no word is still a unit', () => {
  const { units } = findUnits('\u200b\u200b', wordsAt(''), start)

  assert.deepEqual(units, [{ start: 0, end: 2, bound: 'paragraph', cost: 1 }])
})

test('characters that the model does not see go with the heading after them', () => {
  const text = '\u200b\n\n# Title'

  const { units } = findUnits(
    text,
    { starts: Uint32Array.of(3, 5), ends: Uint32Array.of(4, 10), tokens: Uint32Array.of(1, 1) },
    start,
  )

  assert.deepEqual(units, [{ start: 0, end: 10, bound: 'heading', cost: 2 }])
})

test('what follows a piece is told whether it is inside code, and whether a heading came last', () => {
  const open = findUnits('```\n# no heading\n', wordsAt('```\n# no heading\n'), start)
  const heading = findUnits('text\n# Title\n\n', wordsAt('text\n# Title\n\n'), start)

  assert.deepEqual([open.inCode, open.afterHeading], [true, false])
  assert.deepEqual([heading.inCode, heading.afterHeading], [false, true])
})

test('a mark at the start of a piece that begins within a line is no heading', () => {
  const { units } = findUnits('# not a title', wordsAt('# not a title'), { inCode: false, bound: 'word' })

  assert.deepEqual(
    units.map((unit) => unit.bound),
    ['word'],
  )
})

/** One token for each run of other characters than white space. */
function wordsAt(text: string): Words {
  const found = [...text.matchAll(/\S+/g)]
  return {
    starts: Uint32Array.from(found, ({ index }) => index),
    ends: Uint32Array.from(found, (match) => match.index + match[0].length),
    tokens: new Uint32Array(found.length).fill(1),
  }
}
