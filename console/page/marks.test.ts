import assert from 'node:assert/strict'
import { test } from 'node:test'
import { excerptOf, piecesOf, wordsOf } from './marks.ts'

test('marked pieces make up the text, and a range that does not fit is left out', () => {
  const text = 'A parcel may come back.'

  const pieces = piecesOf(text, [
    [18, 22],
    [2, 8],
    [4, 6],
    [9, 9],
    [20, 99],
  ])

  assert.equal(pieces.map((piece) => piece.text).join(''), text)
  assert.deepEqual(
    pieces.filter(({ isMarked }) => isMarked).map((piece) => piece.text),
    ['parcel', 'back'],
  )
})

test('the words of a query are found whatever their case, whole, and not the shortest', () => {
  const text = 'Über parcels: a PARCEL is no parcelling. ÜBER!'

  const words = wordsOf('a parcel über', text).map(([start, end]) => text.slice(start, end))

  assert.deepEqual(words, ['Über', 'PARCEL', 'ÜBER'])
})

test('an excerpt is where most marks are, and cuts no word', () => {
  const text = `${'before '.repeat(60)}first ${'between '.repeat(60)}second third ${'after '.repeat(60)}`
  const ranges = wordsOf('first second third', text)

  const [from, to] = excerptOf(text, ranges, 200)
  const excerpt = text.slice(from, to)

  assert.ok(to - from <= 230, String(to - from))
  assert.match(excerpt, /^between (.* )?second third (.* )?after $/)
})

test('a short text is shown whole, one without marks from its begin, and one without spaces is cut where it must be', () => {
  const long = 'word '.repeat(100)

  assert.deepEqual(excerptOf('short', [[0, 5]], 200), [0, 5])
  assert.deepEqual(excerptOf(long, [], 200), [0, 200])
  assert.deepEqual(excerptOf('x'.repeat(500), [], 200), [0, 200])
  assert.deepEqual(excerptOf('x'.repeat(500), [[490, 495]], 200), [300, 500])
})
