import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseFeed } from './feed.ts'

const base = 'https://example.org/feeds/all.xml'

test('RSS: each item with its guid, its link made absolute, its whole content rather than its summary', () => {
  const feed = parseFeed(
    `<?xml version="1.0"?><rss version="2.0" xmlns:content="c"><channel><title>News &amp; more</title><language>en-gb</language>
      <item><title>Tea &amp; <![CDATA[<b>cups</b>]]></title><link>/tea</link><guid isPermaLink="false">urn:1</guid>
        <description>short</description><content:encoded><![CDATA[<p>Long text.</p>]]></content:encoded>
        <pubDate>Mon, 05 Jan 2026 10:00:00 GMT</pubDate></item>
      <item><title>Only a title</title><link>https://example.org/b</link></item>
      <item><description>Nobody can name it</description></item></channel></rss>`,
    base,
  )

  assert.deepEqual(feed, {
    title: 'News & more',
    language: 'en-gb',
    entries: [
      {
        id: 'urn:1',
        title: 'Tea & cups',
        link: 'https://example.org/tea',
        html: '<p>Long text.</p>',
        published: '2026-01-05T10:00:00.000Z',
      },
      { id: 'https://example.org/b', title: 'Only a title', link: 'https://example.org/b', html: '', published: null },
    ],
  })
})

test('Atom: text, HTML and XHTML content, and the link that is for people', () => {
  const entry = (id: string, content: string) =>
    `<entry><id>${id}</id><title>T</title><link rel="self" href="x.xml"/><link rel="alternate" href="../${id}"/><updated>2026-02-01T00:00:00Z</updated>${content}</entry>`

  const feed = parseFeed(
    `<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="de">${entry('a', '<content type="html">&lt;p&gt;One&lt;/p&gt;</content>')}${entry('b', '<content type="xhtml"><div><p>Two</p></div></content>')}${entry('c', '<summary type="text">3 &lt; 4</summary>')}</feed>`,
    base,
  )

  assert.equal(feed?.language, 'de')
  assert.deepEqual(
    feed?.entries.map(({ id, link, html }) => [id, link, html]),
    [
      ['a', 'https://example.org/a', '<p>One</p>'],
      ['b', 'https://example.org/b', '<div><p>Two</p></div>'],
      ['c', 'https://example.org/c', '3 &lt; 4'],
    ],
  )
})

test('RSS 1.0 has its items beside the channel', () => {
  const feed = parseFeed(
    '<rdf:RDF xmlns:rdf="r"><channel><title>C</title></channel><item rdf:about="urn:x"><title>I</title><link>javascript:alert(1)</link></item></rdf:RDF>',
    base,
  )

  assert.deepEqual(
    feed?.entries.map(({ id, title, link }) => [id, title, link]),
    [['urn:x', 'I', null]],
  )
})

test('what is no feed is none, half of one is what can be read of it, and its own entities stay closed', () => {
  const levels = Array.from({ length: 9 }, (_, i) => `<!ENTITY l${i + 1} "${`&l${i};`.repeat(10)}">`).join('')
  const laughs = `<!DOCTYPE x [<!ENTITY l0 "ha">${levels}]><rss><channel><item><guid>1</guid><title>&l9;</title></item></channel></rss>`

  assert.equal(parseFeed('<html><body>404</body></html>', base), null)
  assert.equal(parseFeed('', base), null)
  assert.equal(parseFeed('<rss><channel><item><guid>1</guid><title>cut o', base)?.entries.length, 1)
  assert.ok((parseFeed(laughs, base)?.entries[0]?.title?.length ?? 0) < 100)
})
