import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { murmur3 } from './murmur3.ts'
import { documentTerms, queryTerms, termCounts } from './terms.ts'

const termsOf = (text: string, language: string | null = null) => [...termCounts(text, language).keys()].sort()

test('English words are found whatever their form, and the commonest are left out', () => {
  const text = 'The consumer commits its Offsets, and so did the committing consumers.'

  const counts = termCounts(text, null)

  assert.deepEqual(Object.fromEntries(counts), { consum: 2, commit: 2, it: 1, offset: 1, so: 1 })
})

test('an identifier is found whole and by its parts', () => {
  assert.deepEqual(termsOf('eachBatch'), ['batch', 'eachbatch'])
  assert.deepEqual(termsOf('commit_offsets'), ['commit', 'commit_offset', 'offset'])
  assert.deepEqual(termsOf('kafka.js'), ['js', 'kafka', 'kafka.j'])
  assert.deepEqual(termsOf('HTTPServer'), ['http', 'httpserver', 'server'])
  assert.deepEqual(termsOf('__dirname'), ['dirnam'])
})

test('the same identifier in a question and in a document is the same term', () => {
  const document = documentTerms('Use `kafka.js` with eachBatch: commit_offsets(topic) is called.', null)

  for (const query of ['kafka.js', 'eachBatch', 'commit_offsets', 'offsets', 'EachBatch', 'KAFKA']) {
    const found = queryTerms(query, null).indices.some((index) => document.indices.includes(index))

    assert.ok(found, query)
  }
})

test('full-width letters, ligatures and typographic apostrophes are the plain ones', () => {
  assert.deepEqual(termsOf('Ｋａｆｋａ ﬁle'), termsOf('kafka file'))
  assert.deepEqual(termsOf('the broker’s log'), termsOf("the broker's log"))
})

test('other languages keep their words as they are', () => {
  assert.deepEqual(termsOf('Die Häuser und the boats', 'de'), ['boats', 'die', 'häuser', 'the', 'und'])
  assert.deepEqual(termsOf('the boats', 'en-GB'), ['boat'])
  assert.deepEqual(termsOf('the boats', 'enm'), ['boats', 'the'])
})

test('writing without spaces is cut into words, also when nobody said what language it is', () => {
  assert.deepEqual(termsOf('春になると川は増水する。', 'ja'), termsOf('春になると川は増水する。'))
  assert.ok(termsOf('春になると川は増水する。').includes('川'))
  assert.ok(termsOf('东京大学在日本').length > 1)
})

test('a text without words has no terms', () => {
  for (const text of ['', '  \n', '…!?', 'the of and']) {
    const { indices, values } = documentTerms(text, null)

    assert.equal(indices.length, 0, text)
    assert.equal(values.length, 0)
  }
})

test('a term weighs more the more often it occurs, up to a limit, and less in a longer text', () => {
  const weight = (text: string) => {
    const { indices, values } = documentTerms(text, null)
    return values[indices.indexOf(murmur3('kafka'))]!
  }

  const [once, twice, often] = [weight('kafka x1'), weight('kafka kafka'), weight('kafka '.repeat(60))]
  const inLongText = weight(`kafka ${'word '.repeat(200)}`)

  assert.ok(once < twice && twice < often && often < 2.2)
  assert.ok(inLongText < once)
})

test('each distinct term of a question weighs one', () => {
  const { indices, values } = queryTerms('kafka Kafka offsets', null)

  assert.deepEqual(
    [...indices],
    [murmur3('kafka'), murmur3('offset')].sort((x, y) => x - y),
  )
  assert.deepEqual([...values], [1, 1])
})

test('words that plain objects treat specially are only words', () => {
  assert.deepEqual(termsOf('constructor __proto__ toString hasOwnProperty', 'de'), [
    'constructor',
    'has',
    'hasownproperty',
    'own',
    'property',
    'proto',
    'string',
    'to',
    'tostring',
  ])
})

test('indices are distinct and ascending, values are positive and finite, and the same text has the same terms', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.constantFrom(null, 'de', 'ja'), (text, language) => {
      const { indices, values } = documentTerms(text, language)

      for (let i = 1; i < indices.length; i++) assert.ok(indices[i - 1]! < indices[i]!)
      for (const value of values) assert.ok(value > 0 && Number.isFinite(value))
      assert.deepEqual(documentTerms(text, language), { indices, values })
    }),
  )
})
