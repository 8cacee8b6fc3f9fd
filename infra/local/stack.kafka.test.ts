import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { coordinatorsReady } from './kafka/probe.ts'
import { freeBase, portsFrom } from './ports.ts'
import { localSettings } from './settings.ts'
import { type StackEvent, type StackOptions, startStack } from './stack.ts'

const settings = localSettings(process.env)

test('the broker answers for groups and transactions', async () => {
  const { kafka } = portsFrom(settings.portBase)

  const answer = coordinatorsReady(kafka, AbortSignal.timeout(5_000))

  await assert.doesNotReject(answer)
})

test('a data folder that another stack uses is refused, and the process named', async () => {
  const start = startAndStop({ ...settings, parts: ['registry'], report: () => {} })

  await assert.rejects(start, /the data folder .* is in use by another stack \(process \d+\).*FRESHET_DATA/)
})

test('ports that another stack uses are refused, and others proposed', async (t) => {
  const dataDir = temporaryFolder(t)

  const start = startAndStop({ ...settings, dataDir, parts: ['registry'], report: () => {} })

  await assert.rejects(start, /port \d+ \(registry\) is taken.*\nuse other ports: FRESHET_PORT_BASE=\d+/)
})

test('a stack whose supervisor was killed starts again, on other ports, with its data', async (t) => {
  const dataDir = temporaryFolder(t)
  const firstBase = await freeBase(settings.portBase + 1_000)
  const fixture = join(import.meta.dirname, 'fixtures', 'stack.ts')
  const args = [fixture, String(firstBase), dataDir, settings.toolsDir]
  const killed = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(createInterface({ input: killed.stdout }), 'line')
  const id = await register(portsFrom(firstBase).registry)
  killed.kill('SIGKILL')
  await once(killed, 'exit')
  const events: StackEvent[] = []

  const portBase = await freeBase(firstBase + 100)
  const report = (event: StackEvent) => void events.push(event)
  const stack = await startStack({ ...settings, portBase, dataDir, parts: ['kafka', 'registry'], report })
  const idAgain = await register(stack.ports.registry)
  await stack.stop()

  assert.equal(idAgain, id)
  const served = events.flatMap((event) => (event.kind === 'ready' ? [event.part] : []))
  assert.deepEqual(served.sort(), ['kafka', 'registry'])
})

/** A stack that starts against all expectation must not be left behind. */
async function startAndStop(options: StackOptions): Promise<void> {
  const stack = await startStack(options)
  await stack.stop()
}

function temporaryFolder(t: { after(work: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), 'stack-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** The id of a schema: the same each time, as long as the registry has not forgotten it. */
async function register(port: number): Promise<number> {
  const response = await fetch(`http://127.0.0.1:${port}/apis/ccompat/v7/subjects/kept-value/versions`, {
    method: 'POST',
    headers: { 'content-type': 'application/vnd.schemaregistry.v1+json' },
    body: JSON.stringify({ schema: '"string"' }),
  })
  const { id } = (await response.json()) as { id: number }
  assert.equal(typeof id, 'number')
  return id
}
