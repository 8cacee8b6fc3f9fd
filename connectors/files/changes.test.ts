import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { watchChanges } from './changes.ts'

const DAY_MS = 24 * 3_600_000

test('a change below a watched folder is noticed without being looked for', { timeout: 20_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'freshet-changes-'))
  t.after(() => rmSync(folder, { recursive: true }))
  mkdirSync(join(folder, 'sub'))
  using changes = await watchChanges([folder, join(folder, 'none')])

  const noticed = changes.next(DAY_MS, t.signal)
  writeFileSync(join(folder, 'sub', 'a.md'), 'a')

  await noticed
})

test('the time, or a signal, ends the waiting too', { timeout: 20_000 }, async (t) => {
  using changes = await watchChanges([])

  await changes.next(1, t.signal)
  await changes.next(DAY_MS, AbortSignal.abort())
})
