import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { bundleConsole } from '../../console/bundle.ts'
import { openDoor } from '../../test/door.ts'
import { CONSOLE_PATHS } from './routes.ts'

const nobody = { identify: async () => ({ refused: 'nobody is known here' }) }
const door = async (t: TestContext) =>
  openDoor(t, { authentication: nobody, upstreams: {}, console: await bundleConsole() })

test('everybody may have the page, and its policy lets in nothing from elsewhere and nothing that is written into it', async (t) => {
  const { url, log } = await door(t)

  const answers = await Promise.all(CONSOLE_PATHS.map((path) => fetch(`${url}${path}`)))

  assert.deepEqual(
    answers.map(({ status, headers }) => [status, headers.get('content-type')]),
    [
      [200, 'text/html; charset=utf-8'],
      [200, 'text/css; charset=utf-8'],
      [200, 'text/javascript; charset=utf-8'],
    ],
  )
  for (const { headers } of answers) {
    assert.equal(
      headers.get('content-security-policy'),
      "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    )
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.equal(headers.get('referrer-policy'), 'no-referrer')
    assert.equal(headers.get('cross-origin-opener-policy'), 'same-origin')
    assert.equal(headers.get('cache-control'), 'no-cache')
    assert.match(headers.get('etag')!, /^"[\w-]{43}"$/)
  }
  assert.deepEqual(
    log.map(({ route, status, subject }) => [route, status, subject]),
    CONSOLE_PATHS.map((path) => [path, 200, null]),
  )
})

test('the page has no script, style or event handler in itself, and names only files that are there', async (t) => {
  const { url } = await door(t)

  const html = await (await fetch(`${url}/console`)).text()
  const named = [...html.matchAll(/(?:href|src)="(?!data:)([^"]*)"/g)].map(([, path]) => path!)

  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\son[a-z]+=|\sstyle=/)
  assert.deepEqual(named.toSorted(), CONSOLE_PATHS.filter((path) => path !== '/console').toSorted())
})

test('who has the page is told that it is the same, and who has another version gets the new one', async (t) => {
  const { url } = await door(t)
  const etag = (await fetch(`${url}/console/page.js`)).headers.get('etag')!
  const ask = (given: string) => fetch(`${url}/console/page.js`, { headers: { 'if-none-match': given } })

  const [same, weak, several, other] = await Promise.all([etag, `W/${etag}`, `"a", ${etag}`, '"a"'].map(ask))

  assert.deepEqual([same!.status, weak!.status, several!.status, other!.status], [304, 304, 304, 200])
  assert.equal(await same!.text(), '')
  assert.ok(same!.headers.get('content-security-policy'), 'a page that is kept keeps its policy')
})

test('nothing else lies there: no source, no map, no folder, no other verb', async (t) => {
  const { url } = await door(t)
  const paths = ['/console/', '/console/page.js.map', '/console/main.tsx', '/console/..%2fpackage.json', '/console.js']

  const statuses = await Promise.all(paths.map(async (path) => (await fetch(`${url}${path}`)).status))
  const posted = await fetch(`${url}/console`, { method: 'POST' })

  assert.deepEqual(statuses, Array(paths.length).fill(404))
  assert.equal(posted.status, 404)
})

test('a gateway without the console answers as if there were none', async (t) => {
  const { url, gateway } = await openDoor(t, { authentication: nobody, upstreams: {} })

  const { status } = await fetch(`${url}/console`)

  assert.equal(status, 404)
  assert.deepEqual(
    gateway.served.filter((each) => each.includes('console')),
    [],
  )
})
