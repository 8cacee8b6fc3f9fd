import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { openLedgers } from './ingest-ledgers.ts'

test('two runs do not share a ledger: the second is told who has it, until it is given back', (t) => {
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-ledgers-'))
  t.after(() => rmSync(dataDir, { recursive: true }))
  const first = openLedgers({ dataDir })
  const ledger = first.of('/docs')
  const second = openLedgers({ dataDir })

  assert.equal(first.of('/docs'), ledger)
  assert.throws(() => second.of('/docs'), new RegExp(`another freshet ingest \\(process ${process.pid}\\) is at /docs`))
  second.of('/other')
  first.close()

  assert.notEqual(second.of('/docs'), ledger)
  second.close()
})
