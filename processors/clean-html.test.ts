import assert from 'node:assert/strict'
import test from 'node:test'
import { type CleanDocument, cleanDocument } from './clean-text.ts'

const clean = (html: string): CleanDocument =>
  cleanDocument({
    title: null,
    text: html,
    contentType: 'text/html; charset=utf-8',
    url: null,
    language: null,
    attributes: {},
  })

const textOf = (html: string) => clean(html).text

test('a page becomes its main content, with its title and language', () => {
  const page = `<!doctype html><html lang="de-AT"><head><title>Tee &amp; Co</title><style>p { color: red }</style></head><body>
    <div id="cookie-banner">We use cookies <button>OK</button></div>
    <header><a href="/">Home</a></header><nav><ul><li>Products</ul></nav>
    <main><h1>Grüner&nbsp;Tee</h1><p>Aus <b>Japan</b>,<br>frisch.</p><script>track()</script><aside>Advertisement</aside></main>
    <footer>Imprint</footer></body></html>`

  const { title, language, text } = clean(page)

  assert.equal(title, 'Tee & Co')
  assert.equal(language, 'de-AT')
  assert.equal(text, '# Grüner Tee\n\nAus Japan,\nfrisch.')
})

test('what was given is not replaced by what the page says', () => {
  const given = { title: 'Given', language: 'fr', url: null, attributes: {} }

  const document = cleanDocument({
    ...given,
    text: '<html lang=en><title>Found</title><p>text',
    contentType: 'text/html',
  })

  assert.equal(document.title, 'Given')
  assert.equal(document.language, 'fr')
})

test('a page without a title is called after its first heading, and a language that is none is left out', () => {
  const { title, language } = clean('<html lang="??"><body><h2>First <i>thing</i> ¶</h2><p>text</p>')

  assert.equal(title, 'First thing')
  assert.equal(language, null)
})

test('headings, lists and tables stay readable', () => {
  const html = `<h2>List</h2><p>These:</p><ul><li>one<ul><li>inner</ul><li><p>two</p></ul>
    <ol start=3><li>three<li>four</ol>
    <table><tr><th>Name<th>Size</tr><tr><td><p>a</p><td></td><td>7</table><dl><dt>Term<dd>Meaning</dl>`

  assert.equal(
    textOf(html),
    '## List\n\nThese:\n\n- one\n  - inner\n- two\n\n3. three\n4. four\n\nName | Size\na | | 7\n\nTerm\nMeaning',
  )
})

test('code keeps its lines and indentation between fences', () => {
  const html =
    '<p>So:</p><pre><code>\nif (a &lt; b) {\r\n    <span>go()</span>\n}\n</code></pre><p>done</p><pre>a ``` b</pre>'

  assert.equal(textOf(html), 'So:\n\n```\nif (a < b) {\n    go()\n}\n```\n\ndone\n\n````\na ``` b\n````')
})

test('what a reader does not see is no text', () => {
  const html = `<p>seen<span hidden> a</span><span aria-hidden="true"> b</span><span style="color: red; display: none"> c</span>
    <!-- d --><noscript> e</noscript><svg><title>f</title><text>g</text></svg><select><option>h</select><textarea>i</textarea></p>`

  assert.equal(textOf(html), 'seen')
  assert.equal(clean(html).title, null)
})

test('an article counts where there is no main content, also inside a form around the whole page', () => {
  const html =
    '<form><nav>Menu</nav><article><header><h1>News</h1></header><p>What happened</p></article><p>Search</p></form>'

  assert.equal(textOf(html), '# News\n\nWhat happened')
})

test('a main element that is almost empty, or teasers, do not hide the page', () => {
  const long = 'The text is long enough to be the page. '.repeat(5)

  assert.match(textOf(`<main><p>Hi</p></main><p>${long}</p>`), /^Hi\n\nThe text is long/)
  assert.match(textOf(`<p>${long}</p><article>Teaser</article>`), /Teaser$/)
})

test('a page of nothing but furniture is still a page', () => {
  assert.equal(textOf('<nav><ul><li>Only<li>links</ul></nav>'), '- Only\n- links')
})

test('broken HTML is read as far as it goes', () => {
  assert.equal(textOf('<p>one<p>two</div></table><td>three<b> four'), 'one\n\ntwo three four')
  assert.equal(textOf('a < b &amp; c &bogus; &#xD800;<unknown>d</unknown> <'), 'a < b & c &bogus; d <')
  assert.equal(textOf('<p>before<!-- never closed <p>after'), 'before')
  assert.equal(textOf('<p title="never closed>before">text'), 'text')
})

test('elements that are nested deeper than any page still give their text, and close again', () => {
  const deep = `${'<div>'.repeat(5_000)}deep${'</div>'.repeat(5_000)}`

  assert.equal(textOf(`<main>${deep}<p>after</p></main><nav>menu</nav>`), 'deep\n\nafter')
})
