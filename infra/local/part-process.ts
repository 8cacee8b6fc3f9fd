import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdirSync, openSync, readSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '../../streams/errors.ts'
import { identityOf } from './lock.js'

/** A process of the stack, declared: how it starts, when it serves, how long it may take. */
export interface Part {
  readonly name: string
  /** Parts that must be ready before this one starts, and that stop only after it. */
  readonly needs?: readonly string[]
  /** Parts that stop only after this one, but for whose start it does not wait. */
  readonly uses?: readonly string[]
  /** May wait for what it needs to be downloaded. */
  command(): Command | Promise<Command>
  /** One attempt to see that it serves: rejects if it does not yet. */
  ready(signal: AbortSignal): Promise<void>
  readonly startMsMax: number
  readonly stopMsMax: number
  /** Called after it has ended; `clean` if it was asked to and did so by itself. */
  ended?(clean: boolean): void
}

export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
}

export type PartEvent =
  | { readonly kind: 'starting' | 'stopping' | 'stopped'; readonly part: string }
  | { readonly kind: 'ready'; readonly part: string; readonly pid: number; readonly ms: number }
  | { readonly kind: 'leftover'; readonly part: string; readonly pid: number }
  | { readonly kind: 'failed'; readonly part: string; readonly error: Error }

/** A part ended without being asked to, or never served. The message has the end of its log. */
export class PartFailed extends Error {
  override name = 'PartFailed'
  readonly part: string
  constructor(part: string, what: string, log: { path: string; tail: string }, cause?: unknown) {
    super(`${part} ${what}; its log (${log.path}) ends with:\n${log.tail.replace(/^/gm, '  | ')}`, { cause })
    this.part = part
  }
}

export interface PartSurroundings {
  readonly runDir: string
  readonly logDir: string
  report(event: PartEvent): void
  /** It ended without being asked to. */
  crashed(error: PartFailed): void
  /** For the watchdog. */
  began(pid: number): void
  ended(pid: number): void
}

const probeEveryMs = 50
const probeMsMax = 2_000
const logBytesMax = 16 * 1024 * 1024
const logTailBytes = 2_000

/** One part of the stack, which may be started and stopped many times. */
export class PartProcess {
  readonly part: Part
  readonly #around: PartSurroundings
  readonly #logPath: string
  #logStart = 0
  #child: ChildProcess | null = null
  #endAsked = false
  #ended: Promise<string> = Promise.resolve('was never started')

  constructor(part: Part, around: PartSurroundings) {
    this.part = part
    this.#around = around
    this.#logPath = join(around.logDir, `${part.name}.log`)
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  /** Resolves when the part serves. Rejects with `PartFailed`, after which nothing of it runs. */
  async start(signal: AbortSignal): Promise<void> {
    if (this.#child !== null) throw new Error(`${this.part.name} runs already`)
    const command = await unlessAborted(signal, async () => await this.part.command())
    this.#around.report({ kind: 'starting', part: this.part.name })
    const began = performance.now()
    await this.#spawn(command)
    try {
      await this.#untilReady(signal)
    } catch (error) {
      await this.stop()
      throw error
    }
    const ms = Math.round(performance.now() - began)
    this.#around.report({ kind: 'ready', part: this.part.name, pid: this.pid ?? 0, ms })
  }

  /** Asks it to end, and ends it after `waitMs`. Resolves when it is gone. */
  async stop(waitMs: number = this.part.stopMsMax): Promise<void> {
    const child = this.#child
    if (child === null) return
    if (!this.#endAsked) this.#around.report({ kind: 'stopping', part: this.part.name })
    this.#endAsked = true
    child.kill('SIGTERM')
    const patience = setTimeout(() => this.#killAll(), waitMs)
    await this.#ended
    clearTimeout(patience)
  }

  /** For tests of faults: not a crash. Resolves when the process is gone, or at once if the signal does not end it. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child === null) return
    const survives = signal === 'SIGSTOP' || signal === 'SIGCONT'
    if (!survives) this.#endAsked = true
    this.#child.kill(signal)
    if (!survives) await this.#ended
  }

  /** The end of what it wrote since its last start. */
  log(): { path: string; tail: string } {
    const file = openSync(this.#logPath, 'r')
    try {
      const from = Math.max(this.#logStart, statSync(this.#logPath).size - logTailBytes)
      const buffer = Buffer.alloc(logTailBytes)
      const text = buffer.toString('utf8', 0, readSync(file, buffer, 0, logTailBytes, from))
      return { path: this.#logPath, tail: text.trim() || '(nothing)' }
    } finally {
      closeSync(file)
    }
  }

  async #spawn({ file, args, env, cwd }: Command): Promise<void> {
    const log = this.#openLog()
    // In a session of its own: a Ctrl-C in the terminal reaches the supervisor only, which stops the parts in order.
    const child = spawn(file, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
      cwd,
    })
    closeSync(log)
    try {
      await once(child, 'spawn')
    } catch (cause) {
      throw new Error(`${this.part.name} cannot be started: ${file}: ${reasonOf(cause)}`, { cause })
    }
    const pid = child.pid!
    // A signal that comes when it has just ended is no error.
    child.on('error', () => {})
    const pidFile = join(this.#around.runDir, `${this.part.name}.pid`)
    writeFileSync(`${pidFile}.draft`, `${JSON.stringify({ pid, identity: identityOf(pid), part: this.part.name })}\n`)
    renameSync(`${pidFile}.draft`, pidFile)
    this.#around.began(pid)
    this.#child = child
    this.#endAsked = false
    this.#ended = once(child, 'exit').then(([code, signal]: unknown[]) => {
      this.#child = null
      rmSync(pidFile, { force: true })
      this.#around.ended(pid)
      const how = signal === null ? `ended with exit code ${code}` : `was ended by ${signal}`
      this.part.ended?.(this.#endAsked && (code === 0 || code === 143))
      if (this.#endAsked) this.#around.report({ kind: 'stopped', part: this.part.name })
      else this.#around.crashed(new PartFailed(this.part.name, how, this.log()))
      return how
    })
  }

  async #untilReady(signal: AbortSignal): Promise<void> {
    const deadline = performance.now() + this.part.startMsMax
    const child = this.#child
    for (;;) {
      signal.throwIfAborted()
      try {
        await this.part.ready(AbortSignal.any([signal, AbortSignal.timeout(probeMsMax)]))
        if (this.#child === child) return
      } catch (cause) {
        if (performance.now() > deadline) {
          throw new PartFailed(this.part.name, `did not serve within ${this.part.startMsMax} ms`, this.log(), cause)
        }
      }
      if (this.#child !== child || child === null) {
        throw new PartFailed(this.part.name, await this.#ended, this.log())
      }
      await delay(probeEveryMs, undefined, { signal })
    }
  }

  #openLog(): number {
    mkdirSync(this.#around.logDir, { recursive: true })
    const size = statSync(this.#logPath, { throwIfNoEntry: false })?.size ?? 0
    if (size > logBytesMax) renameSync(this.#logPath, `${this.#logPath}.1`)
    this.#logStart = size > logBytesMax ? 0 : size
    return openSync(this.#logPath, 'a')
  }

  /** Its whole process group, so that what it may have started goes with it. */
  #killAll(): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(-pid, 'SIGKILL')
    } catch {
      this.#child?.kill('SIGKILL')
    }
  }
}

async function unlessAborted<T>(signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort)
  try {
    return await Promise.race([work(), promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
