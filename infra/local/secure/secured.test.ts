import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { kafkaUsers } from '../../../services/rights.ts'
import { secured } from './secured.ts'

const DAY_MS = 86_400_000

test('passwords, keys and certificates are made once, for this user only, and the same are there at the next start', async (t) => {
  const dataDir = temporaryFolder(t)
  const now = new Date()

  const { folder, passwordOf } = await secured(dataDir, now)
  const before = contentsOf(folder)
  await secured(dataDir, new Date(now.getTime() + DAY_MS))

  const after = contentsOf(folder)
  const changed = Object.keys(after).filter((name) => after[name] !== before[name])
  assert.ok(changed.every((name) => kafkaUsers.some((user) => name === `registry-${user}`)))
  assert.equal(new Set(kafkaUsers.map((user) => readFileSync(passwordOf(user), 'utf8'))).size, kafkaUsers.length)
  assert.ok(Object.keys(after).every((name) => (statSync(join(folder, name)).mode & 0o077) === 0))
})

test('a certificate that would soon be too old is made anew, by the same authority', async (t) => {
  const dataDir = temporaryFolder(t)
  const first = await secured(dataDir, new Date())
  const [ca, server] = [readFileSync(first.ca, 'utf8'), readFileSync(first.certificate, 'utf8')]

  await secured(dataDir, new Date(Date.now() + 350 * DAY_MS))

  const renewed = readFileSync(first.certificate, 'utf8')
  assert.equal(readFileSync(first.ca, 'utf8'), ca)
  assert.notEqual(renewed, server)
  assert.ok(new X509Certificate(renewed).verify(new X509Certificate(ca).publicKey))
  assert.equal(readFileSync(first.both, 'utf8').includes(renewed.trim()), true)
})

function temporaryFolder(t: { after(work: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'secured-'))
  t.after(() => rmSync(folder, { recursive: true }))
  return folder
}

const contentsOf = (folder: string): Record<string, string> =>
  Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), 'utf8')]))
