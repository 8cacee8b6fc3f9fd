import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { ingestRun } from '../../cli/ingest-run.ts'
import type { Client, PublishItem } from '../../client/client.ts'
import { openLedger } from '../files/ledger.ts'
import type { Answer, Web } from './ask.ts'
import { feedOrigin, pollOrigin } from './web-origins.ts'

const url = 'https://example.org/feed.xml'

/** A server with one answer at a time, and a platform with an index; `failsAfter` items the platform is gone. */
function world(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), 'freshet-web-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const index = new Map<string, string>()
  const asked: (string | null)[] = []
  let served: { etag: string; body: string; contentType: string } | Answer
  let failsAfter = Number.POSITIVE_INFINITY
  const web: Web = {
    async ask(at, known) {
      asked.push(known?.etag ?? null)
      if ('is' in served) return served
      const { etag, body, contentType } = served
      if (known?.etag === etag) return { is: 'unchanged' }
      return { is: 'new', body: Buffer.from(body), contentType, url: at, validators: { etag, lastModified: null } }
    },
    async close() {},
  }
  const client = {
    async publish(items: readonly PublishItem[]) {
      for (const item of items) {
        if (failsAfter-- <= 0) throw new Error('killed')
        if ('delete' in item) index.delete(item.id)
        else index.set(item.id, item.text)
      }
      return { token: 't' }
    },
    wait: async () => ({ documents: [] }),
  } as unknown as Client
  return {
    index,
    asked,
    serve: (answer: typeof served) => (served = answer),
    run(kind: typeof feedOrigin | typeof pollOrigin, after = Number.POSITIVE_INFINITY) {
      failsAfter = after
      return ingestRun(client, [kind(url, openLedger(dir, url), web)])
    },
  }
}

const feedOf = (etag: string, entries: Readonly<Record<string, string>>) => ({
  etag,
  contentType: 'application/rss+xml',
  body: `<rss><channel>${Object.entries(entries)
    .map(([guid, text]) => `<item><guid>${guid}</guid><title>${guid}</title><description>${text}</description></item>`)
    .join('')}</channel></rss>`,
})
const many = (count: number, word: string) =>
  Object.fromEntries(Array.from({ length: count }, (_, i) => [`e${i}`, `${word} ${i}`]))

test('a feed’s entries are documents; unchanged it is not read again, and what it does not list any more stays', async (t) => {
  const { index, asked, serve, run } = world(t)
  serve(feedOf('1', { a: 'one', b: 'two' }))

  const first = await run(feedOrigin)
  const second = await run(feedOrigin)
  serve(feedOf('2', { b: 'two', c: 'three' }))
  const third = await run(feedOrigin)

  assert.deepEqual([first.indexed, second.indexed, third.indexed, third.unchanged], [2, 0, 1, 1])
  assert.deepEqual(asked, [null, '1', '1'])
  assert.deepEqual(Object.fromEntries(index), {
    'example.org/feed.xml#a': 'one',
    'example.org/feed.xml#b': 'two',
    'example.org/feed.xml#c': 'three',
  })
})

test('killed in the middle of a feed, the next run brings the rest, also when the server has gone back to what it said before', async (t) => {
  const { index, serve, run } = world(t)
  serve(feedOf('1', many(40, 'old')))
  await run(feedOrigin)

  serve(feedOf('2', many(40, 'new')))
  await assert.rejects(run(feedOrigin, 11), /killed/)
  const between = [...index.values()].filter((text) => text.startsWith('new')).length
  serve(feedOf('1', many(40, 'old')))
  await run(feedOrigin)

  assert.ok(between > 0 && between < 40, `${between} were published before the kill`)
  assert.ok([...index.values()].every((text) => text.startsWith('old')))
})

test('a JSON array is a whole list: what is not in it any more is gone, but not while some of it cannot be read', async (t) => {
  const { index, serve, run } = world(t)
  const list = (etag: string, rows: readonly object[]) =>
    serve({ etag, contentType: 'application/json', body: JSON.stringify(rows) })
  list('1', [
    { id: 'a', text: 'one' },
    { id: 'b', text: 'two' },
  ])
  await run(pollOrigin)

  list('2', [{ id: 'a', text: 'one' }, { id: 'c' }])
  const faulty = await run(pollOrigin)
  const kept = index.has('b')
  list('3', [{ id: 'a', text: 'one' }])
  const whole = await run(pollOrigin)

  assert.match(faulty.problems[0]!.reason, /text: .*expected string/)
  assert.deepEqual([faulty.deleted, kept, whole.deleted, [...index.keys()]], [0, true, 1, ['a']])
})

test('a page is one document, and is deleted when the server says that it is gone, not when it fails', async (t) => {
  const { index, serve, run } = world(t)
  serve({ etag: '1', contentType: 'text/html; charset=utf-8', body: '<p>Hello</p>' })
  await run(pollOrigin)

  serve({ is: 'failed', reason: 'answers 500', retryAfterMs: null })
  const failed = await run(pollOrigin)
  const kept = [...index.keys()]
  serve({ is: 'gone' })
  await run(pollOrigin)

  assert.deepEqual(failed.problems, [{ path: url, reason: 'answers 500' }])
  assert.deepEqual([kept, index.size], [['example.org/feed.xml'], 0])
})

test('what is no feed, and no list, is a problem that says so', async (t) => {
  const { serve, run } = world(t)

  serve({ etag: '1', contentType: 'text/html', body: '<html></html>' })
  const page = await run(feedOrigin)
  serve({ etag: '2', contentType: 'application/json', body: '{"a":1}' })
  const object = await run(pollOrigin)
  serve({ etag: '3', contentType: 'image/png', body: 'x' })
  const image = await run(pollOrigin)

  assert.match(page.problems[0]!.reason, /is no RSS or Atom feed/)
  assert.match(object.problems[0]!.reason, /is no JSON array/)
  assert.match(image.problems[0]!.reason, /is image\/png/)
})
