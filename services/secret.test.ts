import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { Secret } from './secret.ts'

test('a secret is in no log line, no JSON, no template and no inspection of what holds it', () => {
  const held = { password: Secret.of('canary-91c2') }

  const shown = [JSON.stringify(held), inspect(held, { depth: 9 }), `${held.password}`, String(held.password)]

  assert.ok(shown.every((text) => text.includes('[secret]') && !text.includes('canary')))
  assert.equal(held.password.value, 'canary-91c2')
})

test('a secret in a file is what the file says now, and what it said while the file is away', (t) => {
  t.mock.timers.enable({ apis: ['Date'] })
  const folder = mkdtempSync(join(tmpdir(), 'secret-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const path = join(folder, 'password')
  writeFileSync(path, 'first\n')
  const secret = Secret.inFile(path)

  writeFileSync(path, 'second\n')
  t.mock.timers.tick(1_000)
  const renewed = secret.value
  rmSync(path)
  t.mock.timers.tick(1_000)
  const away = secret.value

  assert.deepEqual([renewed, away], ['second', 'second'])
})
