import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { type Part, type PartEvent, PartProcess } from './part-process.ts'

export interface SupervisorOptions {
  readonly parts: readonly Part[]
  readonly runDir: string
  readonly logDir: string
  report(event: PartEvent): void
}

/** Starts parts side by side as far as their needs allow, stops them in the opposite order, and stops all when one crashes. */
export class Supervisor {
  /** Resolves with the reason when a part has not started, or has ended without being asked to; all are being stopped then. Never rejects. */
  readonly failed: Promise<Error>
  readonly #options: SupervisorOptions
  readonly #processes = new Map<string, PartProcess>()
  readonly #ready = new Map<string, Promise<void>>()
  readonly #abort = new AbortController()
  readonly #fail: (error: Error) => void
  readonly #watchdog: ChildProcess
  #stopped: Promise<void> | null = null
  #hurried = false

  constructor(options: SupervisorOptions) {
    this.#options = options
    mkdirSync(options.runDir, { recursive: true })
    const { promise, resolve } = Promise.withResolvers<Error>()
    this.failed = promise
    this.#fail = resolve
    this.#watchdog = startWatchdog()
    for (const part of options.parts) this.#add(part)
    for (const part of options.parts) this.#begin(part)
  }

  /** Resolves when the part serves. Rejects with the reason why it, or one that it needs, does not. */
  async ready(name: string): Promise<void> {
    await this.#ready.get(name)
  }

  /** Starts one part more, and resolves when it serves. */
  async add(part: Part): Promise<void> {
    if (this.#stopped !== null) throw new Error(`${part.name} cannot be started: the stack is stopping`)
    this.#add(part)
    this.#begin(part)
    await this.ready(part.name)
  }

  part(name: string): PartProcess {
    const found = this.#processes.get(name)
    if (found === undefined) throw new Error(`no part ${name}; there are: ${[...this.#processes.keys()].join(', ')}`)
    return found
  }

  /** Stops it if it runs, starts it again, and resolves when it serves. */
  async restart(name: string): Promise<void> {
    const process = this.part(name)
    await process.stop()
    await process.start(this.#abort.signal)
  }

  /** Each part stops after those that need or use it. `hurry` gives up the order and the patience, also of a stop that goes on already. */
  stop({ hurry = false } = {}): Promise<void> {
    this.#abort.abort(new Error('the stack is stopping'))
    this.#stopped ??= this.#stopAll()
    if (hurry && !this.#hurried) {
      this.#hurried = true
      for (const process of this.#processes.values()) void process.stop(hurryMs)
    }
    return this.#stopped
  }

  #add(part: Part): void {
    if (this.#processes.has(part.name)) throw new Error(`there is a part ${part.name} already`)
    const process = new PartProcess(part, {
      runDir: this.#options.runDir,
      logDir: this.#options.logDir,
      report: this.#options.report,
      crashed: (error) => this.#crashed(part.name, error),
      began: (pid) => this.#watchdog.stdin?.write(`began ${pid}\n`),
      ended: (pid) => this.#watchdog.stdin?.write(`ended ${pid}\n`),
    })
    this.#processes.set(part.name, process)
  }

  #begin(part: Part): void {
    const began = async () => {
      await Promise.all((part.needs ?? []).map(async (need) => await this.#ready.get(need)))
      await this.part(part.name).start(this.#abort.signal)
    }
    // Parts are listed before those that need them, so what is needed has a promise by now.
    const ready = began()
    ready.catch((error) => this.#crashed(part.name, error))
    this.#ready.set(part.name, ready)
  }

  #crashed(part: string, error: Error): void {
    if (this.#abort.signal.aborted) return
    this.#options.report({ kind: 'failed', part, error })
    this.#fail(error)
    void this.stop()
  }

  async #stopAll(): Promise<void> {
    const stopped = new Map<string, Promise<void>>()
    const dependents = (name: string) =>
      [...this.#processes.values()].filter(({ part }) => [...(part.needs ?? []), ...(part.uses ?? [])].includes(name))
    const stopOne = async (process: PartProcess): Promise<void> => {
      await Promise.all(dependents(process.part.name).map((each) => stopOnce(each)))
      await this.#ready.get(process.part.name)?.catch(() => {})
      await process.stop(this.#hurried ? hurryMs : process.part.stopMsMax)
    }
    const stopOnce = (process: PartProcess): Promise<void> => {
      const known = stopped.get(process.part.name) ?? stopOne(process)
      stopped.set(process.part.name, known)
      return known
    }
    await Promise.all([...this.#processes.values()].map(stopOnce))
    this.#watchdog.stdin?.end()
  }
}

const hurryMs = 1_500

function startWatchdog(): ChildProcess {
  const script = join(import.meta.dirname, 'watchdog.sh')
  const watchdog = spawn('/bin/sh', [script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  // Without it the stack still works, and the next start finds the leftovers.
  watchdog.on('error', () => {})
  watchdog.stdin?.on('error', () => {})
  watchdog.unref()
  const input = watchdog.stdin as unknown as { unref?(): void } | null
  input?.unref?.()
  return watchdog
}
