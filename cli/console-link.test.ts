import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { takeKey } from '../console/page/session.ts'
import { consoleLink } from './console-link.ts'

test('the link on a terminal has the key where the page looks for it, and the server does not; the one in a log has none', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-link-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'credentials.json')
  writeFileSync(path, JSON.stringify({ id: 'a', apiKey: 'fk_a_b-c_d' }))

  const [shown, logged] = [true, false].map((isRead) => consoleLink('http://127.0.0.1:18043', path, isRead))

  const { hash, search, pathname } = new URL(shown!)
  assert.deepEqual([pathname, search], ['/console', ''])
  assert.equal(
    takeKey(hash, { getItem: () => null, setItem() {} }, () => {}),
    'fk_a_b-c_d',
  )
  assert.equal(logged, 'http://127.0.0.1:18043/console')
})
