import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Reject } from '../streams/errors.ts'
import { type CleanDocument, cleanDocument, type RawDocument } from './clean-text.ts'

const raw = (text: string, contentType: string | null, title: string | null = null): RawDocument => ({
  title,
  text,
  contentType,
  url: null,
  language: null,
  attributes: {},
})

const again = (clean: CleanDocument, contentType: string | null): CleanDocument =>
  cleanDocument({ ...clean, contentType })

/** Texts made of what means something to one of the readers. */
const pieces = (words: readonly string[]) =>
  fc
    .array(fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...words) }, fc.string({ unit: 'binary', maxLength: 3 })), {
      maxLength: 40,
      size: 'max',
    })
    .map((parts) => `${parts.join('').toWellFormed()}\nword`)

const characters = [
  'a',
  'é',
  'e',
  '\u0301',
  '\u0323',
  '\u0958',
  '\u212b',
  '\u1fef',
  '\u037e',
  '\u200b',
  '\u200d',
  '\u200c',
  '\u0627',
  '😀',
  '\ufe0f',
  '\u00a0',
  '\u3000',
  '\u2028',
  '\r',
  '\n',
  '\t',
  ' ',
  '\u0000',
  '\u0085',
  '\ufeff',
  '\u202e',
  '\u00ad',
  '\u3164',
  '\u{e0041}',
  '- ',
  '1. ',
  '```',
  '~~~',
]
const markdown = [
  '# ',
  '## ',
  '\n',
  '\n\n',
  '    ',
  '\t',
  '- ',
  '1. ',
  '> ',
  '```',
  '~~~',
  '`',
  '``',
  '[',
  ']',
  '(',
  ')',
  '![',
  '](',
  '[a]: b\n',
  '<',
  '>',
  '</',
  '<b>',
  '<h1>',
  '</h1>',
  '<p>',
  '<img src=a>',
  '<script>',
  '</script>',
  '<!--',
  '-->',
  '&amp;',
  '&lt;',
  '&gt;',
  '&nbsp;',
  '&#173;',
  'lt;',
  '\\',
  '*',
  '_',
  '---\n',
  '---',
  '===\n',
  'a: b\n',
  '|',
  '|---|',
  '{#x}',
  ' #',
  'word',
  'a',
  '2',
  ' ',
]
const html = [
  '<p>',
  '</p>',
  '<div>',
  '</div>',
  '<main>',
  '</main>',
  '<nav>',
  '</nav>',
  '<pre>',
  '</pre>',
  '<h1>',
  '</h1>',
  '<ul>',
  '<ol>',
  '<li>',
  '</ul>',
  '</ol>',
  '<table>',
  '<tr>',
  '<td>',
  '</td>',
  '</table>',
  '<br>',
  '<script>',
  '</script>',
  '<title>',
  '</title>',
  '<!--',
  '-->',
  '<b',
  ' hidden',
  '>',
  '&lt;',
  '&amp;',
  '&nbsp;',
  '&#0;',
  '&#8203;',
  '`',
  '```',
  '# ',
  '- ',
  '    ',
  '\n',
  '\r\n',
  ' ',
  'word',
  'a',
  '<svg>',
  '</svg>',
  '<form>',
  '<html lang=de>',
]

function changesNothingMore(text: string, contentType: string, second: string | null): void {
  let clean: CleanDocument
  try {
    clean = cleanDocument(raw(text, contentType), { replacementShareMax: 1 })
  } catch (error) {
    assert.ok(error instanceof Reject, `a rejection, not ${error}`)
    return
  }
  assert.deepEqual(cleanDocument({ ...clean, contentType: second }, { replacementShareMax: 1 }), clean)
  assert.equal(clean.text, clean.text.normalize('NFC'))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these must be gone.
  assert.doesNotMatch(clean.text, /[\u0000-\u0008\u000b-\u001f\u007f-\u00a0\u200b\u2028\ufeff]|\n\n\n|[ \t]\n|\s$/)
}

const runs = { numRuns: 1500 }

test('clean plain text comes out of the cleaning unchanged', () => {
  fc.assert(
    fc.property(pieces(characters), (text) => changesNothingMore(text, 'text/plain', null)),
    runs,
  )
})

test('clean Markdown comes out unchanged, as Markdown and as plain text', () => {
  fc.assert(
    fc.property(pieces(markdown), (text) => changesNothingMore(text, 'text/markdown', 'text/markdown')),
    runs,
  )
  fc.assert(
    fc.property(pieces(markdown), (text) => changesNothingMore(text, 'text/markdown', 'text/plain')),
    runs,
  )
})

test('the text of a page comes out unchanged', () => {
  fc.assert(
    fc.property(pieces(html), (text) => changesNothingMore(text, 'text/html', null)),
    runs,
  )
})

test('a title comes out unchanged', () => {
  fc.assert(
    fc.property(pieces(characters), (title) => {
      fc.pre(title.isWellFormed())

      const clean = cleanDocument(raw('text', null, title))

      assert.deepEqual(again(clean, null), clean)
    }),
    runs,
  )
})
