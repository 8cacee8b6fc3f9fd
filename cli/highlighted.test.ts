import assert from 'node:assert/strict'
import { test } from 'node:test'
import { highlighted } from './highlighted.ts'

const as = { charsMax: 60, mark: (word: string) => `[${word}]` }

test('the words of the query are marked, and a line break stays a space beside them', () => {
  const text = 'A parcel may\n come back within\t30 days.'

  const line = highlighted(
    text,
    [
      [14, 18],
      [2, 8],
    ],
    as,
  )

  assert.equal(line, 'A [parcel] may [come] back within 30 days.')
})

test('of a long text the part is shown that has the words of the query', () => {
  const text = `${'nothing here '.repeat(20)}a parcel comes back${' and so on'.repeat(20)}`
  const start = text.indexOf('parcel')

  const line = highlighted(
    text,
    [
      [start, start + 6],
      [start + 13, start + 17],
    ],
    as,
  )

  assert.match(line, /^… (nothing|here) .*a \[parcel\] comes \[?back.* …$/)
  assert.equal(highlighted(text, [], as), `${text.slice(0, 60).trim()} …`)
})

test('nothing in a text steers the terminal, and ranges that are none mark nothing', () => {
  const line = highlighted(
    'a \x1b[31mparcel\u202e',
    [
      [7, 13],
      [9, 20],
      [-3, 1],
      [5, 5],
    ],
    as,
  )

  assert.equal(line, 'a [31m[parcel]')
})
