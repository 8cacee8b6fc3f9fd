import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { until } from './until.ts'

/** A process that a test starts, and may kill, stop and continue. It never outlives the test. */
export interface TestProcess extends AsyncDisposable {
  readonly name: string
  readonly pid: number
  runs(): boolean
  /** Resolves with how it ended. */
  readonly ended: Promise<string>
  /** The end of what it wrote. */
  log(): string
  /** Resolves when it is gone; with SIGSTOP and SIGCONT at once. */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Resolves when the probe does; rejects, with the log, when the process ends before or the time is over. */
  ready(probe: () => Promise<void>): Promise<void>
}

export function startProcess(
  name: string,
  file: string,
  args: readonly string[],
  {
    cwd,
    env = {},
    logCharsMax = LOG_CHARS_MAX,
  }: { cwd?: string; env?: Readonly<Record<string, string>>; logCharsMax?: number } = {},
): TestProcess {
  const child = spawn(file, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  let written = ''
  const keep = (chunk: Buffer) => {
    written = (written + chunk.toString('utf8')).slice(-logCharsMax)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let gone: string | null = null
  const ended = once(child, 'exit').then(([code, signal]: unknown[]) => {
    running.delete(child)
    gone = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
    return gone
  })
  running.set(child, () => `--- ${name} (process ${child.pid}) ${gone ?? 'runs'}; its log ends with\n${written}`)
  logs.push(running.get(child)!)
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    child.kill(signal)
    if (signal !== 'SIGSTOP' && signal !== 'SIGCONT') await ended
  }
  return {
    name,
    pid: child.pid!,
    runs: () => gone === null,
    ended,
    log: () => written,
    kill,
    ready: (probe) =>
      until(
        `${name} serves`,
        async () => {
          if (gone !== null) throw new Error(`${name} ${gone}; its log ends with\n${written}`)
          return await probe().then(
            () => true,
            () => false,
          )
        },
        READY_MS_MAX,
      ),
    async [Symbol.asyncDispose]() {
      if (gone !== null) return
      // One that was stopped by a test does not see SIGTERM.
      child.kill('SIGCONT')
      child.kill('SIGTERM')
      const patience = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
      await ended
      clearTimeout(patience)
    },
  }
}

/** A port of this machine that is free now. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}

const LOG_CHARS_MAX = 12_000
const READY_MS_MAX = 60_000
const STOP_MS_MAX = 10_000

const running = new Map<ChildProcess, () => string>()
const logs: (() => string)[] = []

/** Where a failed run of many processes leaves their logs, instead of on stderr. */
export function keepLogsIn(folder: string): void {
  logsFolder = folder
}
let logsFolder: string | null = null

process.on('exit', (code) => {
  for (const child of running.keys()) child.kill('SIGKILL')
  if (code === 0) return
  if (logsFolder === null) for (const log of logs) process.stderr.write(`${log()}\n`)
  else {
    mkdirSync(logsFolder, { recursive: true })
    writeFileSync(join(logsFolder, `processes-${process.pid}.log`), logs.map((log) => log()).join('\n'))
    process.stderr.write(`the processes' logs are in ${join(logsFolder, `processes-${process.pid}.log`)}\n`)
  }
})
