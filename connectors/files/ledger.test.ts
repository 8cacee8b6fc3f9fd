import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test, { type TestContext } from 'node:test'
import { goneFrom, openLedger } from './ledger.ts'

function dataDir(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-ledger-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const fileIn = (dir: string) => join(dir, 'ingested', readdirSync(join(dir, 'ingested'))[0]!)

test('a ledger knows what was saved, of its own root only', (t) => {
  const dir = dataDir(t)
  const first = openLedger(dir, '/docs')
  first.published('docs/a.md', 'h1')
  first.published('docs/b.md', 'h2')
  first.save()
  first.deleted('docs/a.md')
  first.published('docs/b.md', 'h3')
  first.save()
  first.published('docs/c.md', 'never saved')

  const second = openLedger(dir, '/docs')

  assert.deepEqual([...second.hashes], [['docs/b.md', 'h3']])
  assert.equal(second.damaged, false)
  assert.equal(openLedger(dir, '/other').hashes.size, 0)
})

test('half a line, as a crash leaves it, is forgotten, and what follows is saved', (t) => {
  const dir = dataDir(t)
  const first = openLedger(dir, '/docs')
  first.published('a', 'h1')
  first.save()
  appendFileSync(fileIn(dir), '["b","h')

  const second = openLedger(dir, '/docs')
  second.published('c', 'h3')
  second.save()

  const third = openLedger(dir, '/docs')
  assert.equal(second.damaged, false)
  assert.deepEqual(Object.fromEntries(third.hashes), { a: 'h1', c: 'h3' })
})

test('a damaged ledger says so, knows nothing, deletes nothing, and is written anew', (t) => {
  const dir = dataDir(t)
  const first = openLedger(dir, '/docs')
  first.published('a', 'h1')
  first.save()

  for (const content of ['not JSON\n', '', '{"root":"/docs"}\n["a"]\n', '{"root":"/other"}\n["a","h1"]\n']) {
    writeFileSync(fileIn(dir), content)
    const damaged = openLedger(dir, '/docs')

    assert.equal(damaged.damaged, true, content)
    assert.equal(damaged.hashes.size, 0)
    assert.deepEqual(goneFrom(damaged, new Set()), [])

    damaged.published('b', 'h2')
    damaged.save()
    assert.deepEqual([...openLedger(dir, '/docs').hashes], [['b', 'h2']])
  }
})

test('a ledger that is mostly out of date is written anew, while it is open too', (t) => {
  const dir = dataDir(t)
  const first = openLedger(dir, '/docs')
  for (let i = 0; i < 200; i++) {
    first.published('a', `h${i}`)
    first.save()
  }
  first.setState({ etag: '1' })
  first.save()

  const second = openLedger(dir, '/docs')
  second.published('b', 'h')
  second.save()

  const lines = readFileSync(fileIn(dir), 'utf8').trimEnd().split('\n').length
  assert.ok(lines < 110, `${lines} lines`)
  const third = openLedger(dir, '/docs')
  assert.deepEqual([Object.fromEntries(third.hashes), third.state], [{ a: 'h199', b: 'h' }, { etag: '1' }])
})

test('what is not there any more is gone, but not what a file held that cannot be read now', () => {
  const hashes = new Map([
    ['docs/a.md', 'h1'],
    ['docs/b.md', 'h2'],
    ['line-1', 'h3 docs/c.jsonl'],
    ['line-2', 'h4 docs/d.jsonl'],
  ])

  const gone = goneFrom({ hashes }, new Set(['docs/a.md', 'docs/c.jsonl']))

  assert.deepEqual(gone, ['docs/b.md', 'line-2'])
})

test('what may have been written or not is neither unchanged in the next run, nor forgotten when its file is gone', (t) => {
  const dir = dataDir(t)
  const first = openLedger(dir, '/docs')
  first.published('a', 'h1')
  first.published('b', 'h2')
  first.doubted('a', 'h3 docs/a.jsonl')
  first.doubted('b', null)
  first.save()

  const second = openLedger(dir, '/docs')

  assert.ok(!['h1', 'h3 docs/a.jsonl'].includes(second.hashes.get('a')!))
  assert.notEqual(second.hashes.get('b'), 'h2')
  assert.deepEqual(goneFrom(second, new Set()), ['a', 'b'])
  assert.deepEqual(goneFrom(second, new Set(['docs/a.jsonl'])), ['b'])
})
