import assert from 'node:assert/strict'
import test from 'node:test'
import { Reject } from '../streams/errors.ts'
import { cleanDocument, cleaningLimits, cleaningVersion, type RawDocument } from './clean-text.ts'

const KiB = 1024

const raw = (over: Partial<RawDocument>): RawDocument => ({
  title: null,
  text: 'hello',
  contentType: null,
  url: null,
  language: null,
  attributes: {},
  ...over,
})

const textOf = (text: string) => cleanDocument(raw({ text })).text

/** The reason for which it is rejected. */
function rejection(over: Record<string, unknown>): string {
  try {
    cleanDocument({ ...raw({}), ...over } as RawDocument)
  } catch (error) {
    assert.ok(error instanceof Reject, `not a rejection: ${error}`)
    return error.message
  }
  assert.fail('it was accepted')
}

test('a document that is clean already comes out as it was, with the version that cleaned it', () => {
  const document = {
    title: 'Greetings',
    text: 'Hello, world',
    url: 'https://example.org/a?b=c',
    language: 'pt-BR',
    attributes: { flag: true, list: ['x'], number: 1.5, text: ' as it is ' },
    acl: ['board', 'hr'],
  }

  const clean = cleanDocument({ ...document, contentType: null })

  assert.deepEqual(clean, { ...document, cleaning: cleaningVersion })
})

test('invisible characters go, and spaces and line breaks of every kind become plain ones', () => {
  assert.equal(
    textOf('\ufeffso\u00adft zero\u200bwidth \u202eback\u0000 \u{e0041}\u{e0042}end'),
    'soft zerowidth back end',
  )
  assert.equal(textOf('a\u00a0b\u3000c   d\t e'), 'a b c d\te')
  assert.equal(textOf('  a\r\nb\rc\u2028d  \n\n\n\n e '), 'a\nb\nc\nd\n\ne')
})

test('text is composed (NFC), and piled up marks are cut', () => {
  assert.equal(textOf('e\u0301'), 'é')
  assert.equal(textOf(`a${'\u0335'.repeat(1000)}`).length, 31)
})

test('joiners stay where they mean something: in emoji and in scripts that join letters', () => {
  assert.equal(textOf('co\u200dop'), 'coop')
  assert.equal(textOf('family 👩‍👩‍👧'), 'family 👩‍👩‍👧')
  assert.equal(textOf('می\u200cخواهم'), 'می\u200cخواهم')
})

test('code between fences and the indentation of lists keep their spaces', () => {
  const text = 'Do   this:\n\n- a\n  - b\n\n```py\nif x:\n    y   = 1\n```\n\nand   so'

  assert.equal(textOf(text), 'Do this:\n\n- a\n  - b\n\n```py\nif x:\n    y   = 1\n```\n\nand so')
})

test('a text without letters or digits is rejected, in words that name the fix', () => {
  assert.equal(
    rejection({ text: '   ' }),
    'text: has no letters or digits after cleaning ("   "); send the document\'s text, or delete the document with a null value',
  )
  assert.match(rejection({ text: '\u200b… — !' }), /^text: has no letters or digits after cleaning \("\\u200b… — !"\)/)
  assert.match(rejection({ text: '<script>var a = 1</script>', contentType: 'text/html' }), /^text: has no letters/)
})

test('a text that was decoded wrongly is rejected, and a single replacement character in much text is not', () => {
  assert.match(
    rejection({ text: 'caf\ufffd' }),
    /^text: 1 of 4 characters are U\+FFFD .* decode it with the right one$/,
  )
  assert.match(rejection({ text: 'half \ud83d' }), /^text: has half a surrogate pair/)
  assert.match(rejection({ text: '\ufffd\ufffd' }), /^text: has no letters/)
  assert.equal(textOf(`${'word '.repeat(100)}\ufffd`).length, 501)
})

test('each field that cannot be is rejected by its name, with its value and the fix', () => {
  assert.match(rejection({ text: 7 }), /^text: 7 is not a string; send/)
  assert.match(
    rejection({ contentType: 'application/pdf' }),
    /^contentType: "application\/pdf" is not known; send text\/plain/,
  )
  assert.match(
    rejection({ title: 'x'.repeat(1001) }),
    /^title: has 1001 characters \("x{60}…"\), more than 1000; shorten it$/,
  )
  assert.match(rejection({ url: '/docs/a' }), /^url: "\/docs\/a" is relative or malformed; send an absolute http/)
  assert.match(
    rejection({ url: 'javascript:alert(1)' }),
    /^url: "javascript:alert\(1\)" has the scheme "javascript:"; send/,
  )
  assert.match(rejection({ url: 'http://a/b c' }), /^url: .* has spaces/)
  assert.match(rejection({ url: `http://a/${'b'.repeat(2048)}` }), /^url: has 2057 characters/)
  assert.match(
    rejection({ language: 'english please' }),
    /^language: "english please" is not a BCP 47 tag; send one like en/,
  )
})

test('attributes that a search could not filter by are rejected by name', () => {
  const attributes = (value: Record<string, unknown>) => rejection({ attributes: value })

  assert.match(attributes({ '7a': 1 }), /^attributes: the name "7a" must be 1 to 64/)
  assert.match(attributes({ a: null }), /^attributes.a: null is not a string, number, boolean or list/)
  assert.match(attributes({ a: { b: 1 } }), /^attributes.a: \{"b":1\} is not/)
  assert.match(attributes({ a: Number.NaN }), /^attributes.a: NaN is not a finite number/)
  assert.match(attributes({ a: ['x', 1] }), /^attributes.a\[1\]: 1 is not a string/)
  assert.match(attributes({ a: 'x'.repeat(4 * KiB + 1) }), /^attributes.a: has 4097 bytes/)
  assert.match(attributes({ a: Array(101).fill('x') }), /^attributes.a: has 101 items, more than 100/)
  assert.match(
    attributes(Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`a${i}`, 1]))),
    /^attributes: there are 65, more than 64/,
  )
})

test('attributes come out by name, whatever their order was and whatever they are called', () => {
  const attributes = JSON.parse('{"b":1,"__proto__":"x","a":2}')

  const clean = cleanDocument(raw({ attributes }))

  assert.equal(JSON.stringify(clean.attributes), '{"__proto__":"x","a":2,"b":1}')
})

test('a text as large as the bound goes through and one byte more does not', () => {
  const limits = { textBytesMax: 10 }

  assert.equal(cleanDocument(raw({ text: '  ééééé  ' }), limits).text, 'ééééé')
  assert.throws(
    () => cleanDocument(raw({ text: 'éééééa' }), limits),
    /^Reject: text: has 11 bytes after cleaning, more than 10; split/,
  )
  assert.throws(
    () => cleanDocument(raw({ text: ' '.repeat(11) }), { rawBytesMax: 10 }),
    /^Reject: text: has 11 bytes, more than 10/,
  )
})

test('an empty title, URL or language is none, and a language tag gets its canonical form', () => {
  const clean = cleanDocument(raw({ title: ' \n ', url: ' ', language: 'EN_us' }))

  assert.deepEqual([clean.title, clean.url, clean.language], [null, null, 'en-US'])
  assert.equal(cleanDocument(raw({ title: ' two\nlines ' })).title, 'two lines')
})

/** Repeated (of two with … between, first all of the one, then all of the other): what some reader of HTML or Markdown takes quadratic time or the whole stack for. */
const hostile: readonly (readonly [contentType: string, unit: string])[] = [
  ...[
    '<div>',
    '<b>',
    '<table><tr><td>x',
    '<ul><li>x',
    '</div>',
    '<',
    '&amp',
    '<a b="',
    '<!--',
    '<svg/>',
    '<h1>',
    '<b>…</a>',
  ].map((unit) => ['text/html', unit] as const),
  ...[
    '[',
    '](',
    '![',
    '`',
    '` ``',
    '<b ',
    '<!-- a\n',
    '`<!-- ',
    '\n',
    '    x\n\n',
    '```\n',
    '<h1>',
    '[a](b)',
    '> ',
  ].map((unit) => ['text/markdown', unit] as const),
  ...['\u0301\u0323', '\u200d', ' ', '\n', '```'].map((unit) => ['text/plain', unit] as const),
]

const cpuMsOf = (contentType: string, unit: string, bytes: number): number => {
  const [first, second = ''] = unit.split('…')
  const text = `word ${first!.repeat(bytes / Buffer.byteLength(unit))} word ${second.repeat(bytes / Buffer.byteLength(unit))} word`
  const before = process.cpuUsage()
  cleanDocument(raw({ text, contentType }), { textBytesMax: 8 * KiB * KiB })
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

test('hostile input takes linear time', () => {
  const times = hostile.map(([contentType, unit]) => ({
    contentType,
    unit,
    cpuMs: cpuMsOf(contentType, unit, 512 * KiB),
  }))

  // Measured: below 500 ms each. Readers that build a tree take more than 8 s for several of them.
  assert.deepEqual(
    times.filter(({ cpuMs }) => cpuMs > 5_000),
    [],
  )
})

test('an ordinary text of 4 MiB of each type is read in seconds', () => {
  const page = '<p>Some <b>words</b> and a <a href="https://example.org/x">link</a>.</p>\n<ul><li>one<li>two</ul>\n'
  const readme = 'Some **words** and a [link](https://example.org/x).\n\n- one\n- two\n\n```js\na = 1\n```\n\n'

  for (const [type, unit] of [
    ['text/html', page],
    ['text/markdown', readme],
    ['text/plain', readme],
  ] as const)
    assert.ok(cpuMsOf(type, unit, cleaningLimits.textBytesMax) < 20_000, type)
})

test('groups come out in order and once each, and none of them is everyone', () => {
  const aclOf = (acl: unknown) => cleanDocument(raw({ acl: acl as string[] })).acl

  const cleaned = [undefined, null, ['hr'], ['hr', 'board', 'hr'], [' Hr '], ['x'.repeat(256)]].map(aclOf)

  assert.deepEqual(cleaned, [null, null, ['hr'], ['board', 'hr'], [' Hr '], ['x'.repeat(256)]])
})

test('groups that say nothing plain are rejected, with what to do', () => {
  assert.equal(rejection({ acl: [] }), 'acl: is empty; name at least one group, or leave it out')
  assert.match(rejection({ acl: 'hr' }), /^acl: "hr" is not a list; send the names of groups/)
  assert.match(rejection({ acl: ['hr', ''] }), /^acl\[1\]: "" is not the name of a group/)
  assert.match(rejection({ acl: [7] }), /^acl\[0\]: 7 is not the name of a group/)
  assert.match(rejection({ acl: ['*'] }), /^acl\[0\]: \* is no group; leave acl out/)
  assert.match(rejection({ acl: ['x'.repeat(257)] }), /^acl\[0\]: has 257 characters .*more than 256/)
  assert.match(rejection({ acl: ['\ud800'] }), /^acl\[0\]: has half a surrogate pair/)
  assert.match(rejection({ acl: Array.from({ length: 65 }, (_, i) => `g${i}`) }), /^acl: names 65 groups, more than 64/)
})
