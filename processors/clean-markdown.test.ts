import assert from 'node:assert/strict'
import test from 'node:test'
import { type CleanDocument, cleanDocument } from './clean-text.ts'

const clean = (markdown: string): CleanDocument =>
  cleanDocument({
    title: null,
    text: markdown,
    contentType: 'text/markdown',
    url: null,
    language: null,
    attributes: {},
  })

const textOf = (markdown: string) => clean(markdown).text

test('front matter gives title and language and is no text', () => {
  const { title, language, text } = clean(
    '---\ntitle: "Tea: a guide"\nlang: en-GB\ntags:\n  - tea\n---\n\n# Tea\n\nDrink it.',
  )

  assert.equal(title, 'Tea: a guide')
  assert.equal(language, 'en-GB')
  assert.equal(text, '# Tea\n\nDrink it.')
})

test('a rule at the beginning is not front matter', () => {
  assert.equal(textOf('---\n\nnot: this\n\n---\n\ntext'), 'not: this\n\ntext')
})

test('the first heading that is not code is the title', () => {
  assert.equal(clean('```sh\n# install\n```\n\n## Using `tea` *well* ##\n').title, 'Using tea well')
  assert.equal(clean('No heading').title, null)
})

test('badges, image lines and comments go; links and images in sentences become their text', () => {
  const readme = `<h1 align="center">
  <img src="logo.svg">
  Tea
</h1>

[![build](https://ci/badge.svg)](https://ci) [![npm](https://npm/badge.svg)][npm]
![screenshot](a.png)

<!-- toc
- [not](#seen)
-->

See [the *docs*](https://docs/a_(b) "Docs"), [npm] and [the package][npm]. A ![cup](cup.png) of tea; <https://example.org>.

[npm]: https://npm "npm"
`

  assert.equal(textOf(readme), '# Tea\n\nSee the *docs*, npm and the package. A cup of tea; https://example.org.')
})

test('what only looks like a link, a tag or an escape stays', () => {
  const text = 'a[i](j is open, x[i][j], Vec<String> and 1 < 2 > 0, - [x] done, [^1], &lt;b&gt;'

  assert.equal(textOf(text), 'a[i](j is open, x[i][j], Vec<String> and 1 < 2 > 0, - [x] done, [^1], &lt;b>')
})

test('HTML in the text goes, with what is in scripts; entities and escapes are resolved', () => {
  const markdown =
    '<details><summary>More</summary>\nsnake\\_case &amp; Q&copy;\n<br/>next<script>\nno()\n</script>\n</details>'

  assert.equal(textOf(markdown), 'More\n\nsnake_case & Q©\n\nnext')
})

test('code is kept as it is written, between fences, indented or in a line', () => {
  const markdown =
    'Call `a[0](<b>)` or\n\n    if (x) {\n        [y](z)\n    }\n\nThen:\n\n~~~html\n<b>  &amp;</b> <!-- kept -->\n~~~\n'

  assert.equal(
    textOf(markdown),
    'Call `a[0](<b>)` or\n\n```\nif (x) {\n    [y](z)\n}\n```\n\nThen:\n\n~~~html\n<b>  &amp;</b> <!-- kept -->\n~~~',
  )
})

test('a comment may hold code blocks, and one that never ends is text', () => {
  assert.equal(textOf('a\n<!--\n```\nb\n```\n-->\nc'), 'a\n\nc')
  assert.equal(textOf('a <!-- b'), 'a <!-- b')
  assert.equal(textOf('`<!--` a <!-- b --> c'), '`<!--` a c')
})

test('underlined headings become lines that begin with #, and rules and the lines under table heads go', () => {
  const markdown = 'Tea\n===\n\nGreen\n---\n\n| a | b |\n|---|:-:|\n| 1 | 2 |\n\n***\n\n### Black ### {#black}\n'

  assert.equal(textOf(markdown), '# Tea\n\n## Green\n\n| a | b |\n| 1 | 2 |\n\n### Black')
})

test('nested lists keep their indentation and are no code', () => {
  assert.equal(textOf('- a\n    - b\n\n        c\n- d'), '- a\n    - b\n\nc\n- d')
})
