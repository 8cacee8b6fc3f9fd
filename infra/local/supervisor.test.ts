import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, test } from 'node:test'
import { freePort } from './fixtures/free-port.ts'
import { endLeftovers } from './leftovers.ts'
import { identityOf } from './lock.js'
import type { Part, PartEvent } from './part-process.ts'
import { requireOk } from './parts/http.ts'
import { Supervisor } from './supervisor.ts'

const fixture = join(import.meta.dirname, 'fixtures', 'part.js')
let folder = ''
let events: PartEvent[] = []
let supervisors: Supervisor[] = []

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'supervisor-'))
  events = []
  supervisors = []
})

afterEach(async () => {
  await Promise.all(supervisors.map(async (each) => await each.stop({ hurry: true })))
  rmSync(folder, { recursive: true, force: true })
})

test('a part starts when those that it needs serve, and they stop after it', async () => {
  const supervisor = supervise(await part('log'), await part('worker', { needs: ['log'] }))

  await supervisor.ready('worker')
  await supervisor.stop()

  const order = events.map(({ kind, part }) => `${part} ${kind}`)
  assert.deepEqual(order.slice(0, 4), ['log starting', 'log ready', 'worker starting', 'worker ready'])
  const ends = ['worker was asked to end', 'worker ended', 'log was asked to end', 'log ended']
  assert.deepEqual(journal(), ['log serves', 'worker serves', ...ends])
})

test('a part that uses another does not wait for it, but stops before it', async () => {
  const alone = await part('registry')
  const ready = async (signal: AbortSignal) => {
    await supervisor.ready('connect')
    await alone.ready(signal)
  }
  const registry = { ...alone, ready }
  const supervisor = supervise(registry, await part('connect', { uses: ['registry'] }))

  await supervisor.ready('registry')
  await supervisor.stop()

  const ends = ['connect was asked to end', 'connect ended', 'registry was asked to end', 'registry ended']
  assert.deepEqual(journal().slice(-4), ends)
})

test('a crash is told with the exit code and the end of the log, and all else stops', async () => {
  const supervisor = supervise(await part('log'), await part('worker', { manner: 'crash', needs: ['log'] }))
  await supervisor.ready('log')
  const logPid = supervisor.part('log').pid!

  const failure = await supervisor.failed
  await gone(logPid)
  await supervisor.stop()

  assert.match(
    failure.message,
    /^worker ended with exit code 3; its log \(.*worker\.log\) ends with:\n {2}\| worker begins\n {2}\| out of cheese$/,
  )
  assert.equal(journal().at(-1), 'log ended')
  assert.deepEqual(pidFiles(), [])
})

test('a part that does not serve in time has failed', async () => {
  const supervisor = supervise(await part('log', { manner: 'mute', startMsMax: 300 }))

  await assert.rejects(supervisor.ready('log'), /log did not serve within 300 ms/)
  const failure = await supervisor.failed
  await supervisor.stop()

  assert.match(failure.message, /did not serve/)
  assert.equal(supervisor.part('log').pid, null)
})

test('a program that is not there is a failure that names it', async () => {
  const absent = { ...(await part('log')), command: () => ({ file: '/nowhere/java', args: [] }) }
  const supervisor = supervise(absent)

  const failure = await supervisor.failed

  assert.match(failure.message, /log cannot be started: \/nowhere\/java: .*ENOENT/)
})

test('a part that does not listen is ended after its time', async () => {
  const supervisor = supervise(await part('log', { manner: 'deaf', stopMsMax: 100 }))

  await supervisor.ready('log')
  await supervisor.stop()

  assert.equal(supervisor.part('log').pid, null)
  assert.deepEqual(journal(), ['log serves', 'log was asked to end'])
})

test('a second wish to stop gives up the patience of the first', async () => {
  const supervisor = supervise(await part('log', { manner: 'deaf', stopMsMax: 60_000 }))
  await supervisor.ready('log')

  const patient = supervisor.stop()
  const hurried = supervisor.stop({ hurry: true })

  await Promise.all([patient, hurried])
  assert.equal(supervisor.part('log').pid, null)
})

test('a part that a test ends is no crash, and comes back when it is restarted', async () => {
  const supervisor = supervise(await part('log'))
  await supervisor.ready('log')
  const before = supervisor.part('log').pid

  await supervisor.part('log').kill('SIGKILL')
  const between = supervisor.part('log').pid
  await supervisor.restart('log')

  assert.equal(between, null)
  assert.notEqual(supervisor.part('log').pid, before)
  assert.deepEqual(
    events.filter(({ kind }) => kind === 'failed'),
    [],
  )
})

test('a part may be added later, and stops first', async () => {
  const supervisor = supervise(await part('log'))

  await supervisor.add(await part('worker', { needs: ['log'] }))
  await supervisor.stop()

  assert.deepEqual(journal().slice(-4), [
    'worker was asked to end',
    'worker ended',
    'log was asked to end',
    'log ended',
  ])
})

test('nothing keeps running when the supervisor is killed with kill -9', async () => {
  const script = join(import.meta.dirname, 'fixtures', 'supervisor.ts')
  const child = spawn(process.execPath, [script, folder, String(await freePort())], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [pid] = await once(createInterface({ input: child.stdout }), 'line')

  child.kill('SIGKILL')
  await gone(Number(pid))

  assert.deepEqual(journal(), ['log serves', 'log was asked to end', 'log ended'])
})

test('what an earlier run has left is ended at the next start, and a process that only has its pid is not', async () => {
  const left = spawn(process.execPath, [fixture, '0', 'mute'], { stdio: 'ignore' })
  const stranger = spawn(process.execPath, [fixture, '0', 'mute'], { stdio: 'ignore' })
  await Promise.all([once(left, 'spawn'), once(stranger, 'spawn')])
  writePidFile('kafka', left.pid!, identityOf(left.pid!)!)
  writePidFile('registry', stranger.pid!, 'another boot/12345')

  const leftEnded = once(left, 'exit')
  await endLeftovers(folder, (event) => events.push(event))
  await leftEnded

  assert.deepEqual(events, [{ kind: 'leftover', part: 'kafka', pid: left.pid }])
  assert.notEqual(identityOf(stranger.pid!), null)
  assert.deepEqual(pidFiles(), [])
  stranger.kill('SIGKILL')
  await once(stranger, 'exit')
})

interface PartTraits {
  readonly manner?: 'crash' | 'mute' | 'deaf'
  readonly needs?: readonly string[]
  readonly uses?: readonly string[]
  readonly startMsMax?: number
  readonly stopMsMax?: number
}

async function part(name: string, traits: PartTraits = {}): Promise<Part> {
  const port = await freePort()
  const { manner, needs = [], uses = [], startMsMax = 10_000, stopMsMax = 5_000 } = traits
  return {
    name,
    needs,
    uses,
    startMsMax,
    stopMsMax,
    command: () => ({
      file: process.execPath,
      args: [fixture, String(port), manner ?? 'well', join(folder, 'journal')],
      env: { PART_NAME: name },
    }),
    ready: async (signal) => await requireOk(`http://127.0.0.1:${port}/`, signal),
  }
}

function supervise(...parts: readonly Part[]): Supervisor {
  const report = (event: PartEvent) => void events.push(event)
  const supervisor = new Supervisor({ parts, runDir: folder, logDir: join(folder, 'logs'), report })
  supervisors.push(supervisor)
  return supervisor
}

function journal(): readonly string[] {
  return readFileSync(join(folder, 'journal'), 'utf8').trim().split('\n')
}

function pidFiles(): readonly string[] {
  return readdirSync(folder).filter((name) => name.endsWith('.pid'))
}

function writePidFile(name: string, pid: number, identity: string): void {
  writeFileSync(join(folder, `${name}.pid`), JSON.stringify({ pid, identity, part: name }))
}

/** Nothing tells of the end of a process that is not our child. */
async function gone(pid: number): Promise<void> {
  while (identityOf(pid) !== null) await new Promise((resolve) => setImmediate(resolve))
}
