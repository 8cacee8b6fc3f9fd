import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { reasonOf } from '../../streams/errors.ts'
import { endLeftovers } from './leftovers.ts'
import { tryLock } from './lock.js'
import type { Part, PartEvent } from './part-process.ts'
import { connectPart } from './parts/connect.ts'
import { kafkaPart } from './parts/kafka.ts'
import type { Places } from './parts/places.ts'
import { qdrantPart, serves } from './parts/qdrant.ts'
import { registryPart } from './parts/registry.ts'
import { type Role, rolePart } from './parts/role.ts'
import { type Ports, portsFrom, requireFree } from './ports.ts'
import { onPath } from './prerequisites.js'
import { type SetupEvent, setUp, type ToolName } from './setup.ts'
import { Supervisor } from './supervisor.ts'

export type PartName = 'kafka' | 'registry' | 'qdrant' | 'connect'
export type StackEvent = SetupEvent | PartEvent
export type { Role }

export interface StackOptions {
  readonly portBase: number
  readonly dataDir: string
  /** What was downloaded: several stacks may share it. */
  readonly toolsDir: string
  /** gRPC address of a Qdrant that runs elsewhere; then none is started. */
  readonly qdrantUrl?: string | null
  /** Default: all. */
  readonly parts?: readonly PartName[]
  /** Freshet's own processes; they start when Kafka, registry and Qdrant are ready. More by `startRole`. */
  readonly roles?: readonly Role[]
  /** Names in `engine/models.ts` to have in `modelsDir`. Default: the default model and the small canary. */
  readonly models?: readonly string[]
  /** Gives the start up: what has begun is stopped, and `startStack` rejects. */
  readonly signal?: AbortSignal
  report(event: StackEvent): void
}

export interface Stack {
  /** `kafka` is host:port; the others are http addresses (Qdrant's speaks gRPC). */
  readonly urls: {
    readonly kafka: string
    readonly registry: string
    readonly connect: string
    readonly qdrant: string
  }
  readonly ports: Ports
  readonly modelsDir: string
  /** Resolves when Kafka Connect serves too, which takes longest. Rejects if it does not start; the stack has failed then. */
  readonly connectReady: Promise<void>
  /** Resolves with the reason when a part has ended by itself. The stack is being stopped then: await `stop()`. Never rejects. */
  readonly failed: Promise<Error>
  /** For tests of faults, and to look: a process that is asked to end here is no crash. */
  part(name: string): StackPart
  /** Starts a process more, and resolves when it serves. */
  startRole(role: Role): Promise<void>
  /** Stops all, roles first and Kafka last. Data stays. `hurry` gives up order and patience, also of a stop that has begun. */
  stop(options?: { hurry?: boolean }): Promise<void>
}

export interface StackPart {
  /** Null while it does not run. */
  readonly pid: number | null
  /** Resolves when the process is gone (SIGSTOP, SIGCONT: at once). */
  kill(signal: NodeJS.Signals): Promise<void>
  /** Stops it if it runs, starts it again, and resolves when it serves. */
  restart(): Promise<void>
}

const allParts: readonly PartName[] = ['kafka', 'registry', 'qdrant', 'connect']

/**
 * Starts Kafka, schema registry, Qdrant and Kafka Connect on this machine, without containers, and downloads them first where they
 * are missing. Resolves when all but Connect serve. Rejects, with nothing left running, if a part does not start, if a port is
 * taken, or if the data folder is in use.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, toolsDir, portBase, report, signal } = options
  const ports = portsFrom(portBase)
  const names = options.parts ?? allParts
  const embedded = names.includes('qdrant') && !options.qdrantUrl && !onPath('qdrant')
  const local = names.filter((name) => name !== 'qdrant' || !options.qdrantUrl)
  const runDir = join(dataDir, 'run')
  const logDir = join(dataDir, 'logs')
  mkdirSync(runDir, { recursive: true })
  const release = holdFolder(dataDir)
  const setupAbort = new AbortController()
  try {
    await endLeftovers(runDir, report)
    await requireFree(
      ports,
      portBase,
      local.flatMap((name) => portsOf[name]),
    )
    const tools = setUp({
      toolsDir,
      logDir,
      tools: [...local.flatMap((name) => toolsOf[name]), ...(embedded ? (['python'] as const) : []), 'models'],
      ...(options.models === undefined ? {} : { models: options.models }),
      signal: setupAbort.signal,
      report,
    })
    const places: Places = { ports, dataDir, archiveDir: join(toolsDir, 'class-archives'), tools }
    const supervisor = new Supervisor({
      parts: [
        ...local.map((name) => makers[name](places, embedded)),
        ...(options.roles ?? []).map((role) => rolePart(role, local)),
      ],
      runDir,
      logDir,
      report,
    })
    let released: Promise<void> | null = null
    const stop = async (how: { hurry?: boolean } = {}) => {
      setupAbort.abort(new Error('the stack is stopping'))
      const stopped = supervisor.stop(how)
      released ??= stopped.finally(release)
      await released
    }
    const giveUp = () => void stop()
    signal?.addEventListener('abort', giveUp)
    try {
      signal?.throwIfAborted()
      const served = [...local.filter((name) => name !== 'connect'), ...(options.roles ?? []).map(({ name }) => name)]
      const failure = supervisor.failed.then((error) => Promise.reject(error))
      failure.catch(() => {})
      await Promise.race([
        Promise.all([
          ...served.map(async (name) => await supervisor.ready(name)),
          tools.models,
          ...(options.qdrantUrl ? [reachable(options.qdrantUrl)] : []),
        ]),
        failure,
      ])
    } catch (error) {
      await stop()
      throw signal?.aborted ? signal.reason : error
    } finally {
      signal?.removeEventListener('abort', giveUp)
    }
    void supervisor.failed.then(() => stop())
    const connectReady = supervisor.ready('connect')
    connectReady.catch(() => {})
    return {
      urls: {
        kafka: `127.0.0.1:${ports.kafka}`,
        registry: `http://127.0.0.1:${ports.registry}`,
        connect: `http://127.0.0.1:${ports.connect}`,
        qdrant: options.qdrantUrl ?? `http://127.0.0.1:${ports.qdrant}`,
      },
      ports,
      modelsDir: await tools.models,
      connectReady,
      failed: supervisor.failed,
      part: (name) => ({
        get pid() {
          return supervisor.part(name).pid
        },
        kill: async (kind) => await supervisor.part(name).kill(kind),
        restart: async () => await supervisor.restart(name),
      }),
      startRole: async (role) => await supervisor.add(rolePart(role, local)),
      stop,
    }
  } catch (error) {
    setupAbort.abort(error)
    release()
    throw error
  }
}

const makers: Readonly<Record<PartName, (places: Places, embedded: boolean) => Part>> = {
  kafka: kafkaPart,
  registry: registryPart,
  connect: connectPart,
  qdrant: (places, embedded) => qdrantPart(places, { server: !embedded }),
}

const portsOf: Readonly<Record<PartName, readonly (keyof Ports)[]>> = {
  kafka: ['kafka', 'controller'],
  registry: ['registry'],
  connect: ['connect'],
  qdrant: ['qdrant'],
}

const toolsOf: Readonly<Record<PartName, readonly ToolName[]>> = {
  kafka: ['kafka'],
  registry: ['registry'],
  connect: ['kafka', 'connect'],
  qdrant: [],
}

/** One stack for each data folder: two would write into the same files. */
function holdFolder(dataDir: string): () => void {
  const { release, holder } = tryLock(join(dataDir, 'run', 'stack.lock'))
  if (release !== undefined) return release
  throw new Error(
    `the data folder ${dataDir} is in use by another stack (process ${holder}); stop that one, or set FRESHET_DATA and FRESHET_PORT_BASE`,
  )
}

const reachMsMax = 10_000
const reachEveryMs = 200

async function reachable(url: string): Promise<void> {
  const probe = serves(url)
  const deadline = performance.now() + reachMsMax
  for (;;) {
    try {
      return await probe(AbortSignal.timeout(reachMsMax))
    } catch (cause) {
      if (performance.now() > deadline) throw new Error(`no Qdrant answers at ${url}: ${reasonOf(cause)}`, { cause })
      await delay(reachEveryMs)
    }
  }
}
