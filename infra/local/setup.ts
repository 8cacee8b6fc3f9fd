import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runDownload } from './download.ts'
import { lock } from './lock.js'
import type { Download } from './maven-model.ts'
import { requirePrerequisites } from './prerequisites.js'
import { type Step, type StepOptions, stepsOf, type ToolName } from './setup-steps.ts'

export type SetupEvent =
  | { readonly kind: 'setup-waiting'; readonly pid: number }
  | { readonly kind: 'setup-started'; readonly tool: string }
  | { readonly kind: 'setup-progress'; readonly tool: string; readonly bytes: number; readonly what: string }
  | { readonly kind: 'setup-done'; readonly tool: string; readonly ms: number; readonly bytes: number }

export interface SetupOptions extends StepOptions {
  readonly logDir: string
  readonly signal: AbortSignal
  report(event: SetupEvent): void
}

/** The folder of each tool that was asked for, as soon as it is there. */
export type Tools = Readonly<Record<ToolName, Promise<string>>>

/**
 * Downloads what is missing, each tool once: a tool is there if its folder has the stamp of what it was made from (its pom, its
 * requirements, its checksums). If all is there, neither the network nor the lock is touched.
 */
export function setUp(options: SetupOptions): Tools {
  const steps = stepsOf(options)
  const missing = steps.filter((step) => !isThere(step))
  const promises = new Map<ToolName, PromiseWithResolvers<string>>(
    toolNames.map((name) => [name, Promise.withResolvers()]),
  )
  for (const { promise } of promises.values()) promise.catch(() => {})
  const settle = (tool: ToolName) => {
    const own = steps.filter((step) => step.tool === tool)
    const first = own[0]
    if (first === undefined || !own.every(isThere)) return
    promises.get(tool)!.resolve(tool === 'models' ? dirname(dirname(first.directory)) : first.directory)
  }
  for (const tool of toolNames) settle(tool)
  if (missing.length > 0) {
    makeAll(missing, options, settle).catch((error) => {
      for (const { reject } of promises.values()) reject(error)
    })
  }
  return Object.fromEntries([...promises].map(([name, { promise }]) => [name, promise])) as Record<
    ToolName,
    Promise<string>
  >
}

const toolNames: readonly ToolName[] = ['kafka', 'registry', 'connect', 'python', 'test-python', 'models']

async function makeAll(
  missing: readonly Step[],
  options: SetupOptions,
  settle: (tool: ToolName) => void,
): Promise<void> {
  requirePrerequisites([...new Set(missing.flatMap(({ requires }) => requires))])
  const release = await lock(join(options.toolsDir, 'setup.lock'), (pid) =>
    options.report({ kind: 'setup-waiting', pid }),
  )
  try {
    const lanes = ['maven', 'pip'].map((lane) => missing.filter((step) => step.lane === lane))
    await Promise.all(
      lanes.map(async (lane) => {
        for (const step of lane) {
          // The process that had the lock before us may have made it.
          if (!isThere(step)) await makeOne(step, options)
          settle(step.tool)
        }
      }),
    )
  } finally {
    release()
  }
}

const attemptsMax = 2

async function makeOne(step: Step, options: SetupOptions): Promise<void> {
  const draft = `${step.directory}.draft`
  const began = performance.now()
  let bytes = 0
  options.report({ kind: 'setup-started', tool: step.title })
  const download: Download = async (file, args) =>
    await runDownload(file, args, {
      cwd: draft,
      log: join(options.logDir, `setup-${step.lane}.log`),
      signal: options.signal,
      downloaded(what, size) {
        bytes += size
        options.report({ kind: 'setup-progress', tool: step.title, bytes, what })
      },
    })
  for (let attempt = 1; ; attempt++) {
    rmSync(draft, { recursive: true, force: true })
    mkdirSync(draft, { recursive: true })
    try {
      await step.make(draft, download)
      break
    } catch (cause) {
      rmSync(draft, { recursive: true, force: true })
      if (options.signal.aborted || attempt === attemptsMax)
        throw new Error(`${step.title} could not be set up`, { cause })
    }
  }
  writeFileSync(join(draft, stampFile), step.stamp)
  rmSync(step.directory, { recursive: true, force: true })
  renameSync(draft, step.directory)
  options.report({ kind: 'setup-done', tool: step.title, ms: Math.round(performance.now() - began), bytes })
}

const stampFile = '.stamp'

function isThere({ directory, stamp }: Step): boolean {
  const path = join(directory, stampFile)
  return existsSync(path) && readFileSync(path, 'utf8') === stamp
}
