import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { endLeftovers } from './leftovers.ts'
import { tryLock } from './lock.js'
import type { PartEvent } from './part-process.ts'
import type { Places, SecurePlaces } from './parts/places.ts'
import { reachable } from './parts/qdrant.ts'
import { type Role, rolePart } from './parts/role.ts'
import { type Ports, portsFrom, requireFree } from './ports.ts'
import type { Secured } from './secure/secured.ts'
import { type SetupEvent, setUp, type Tools } from './setup.ts'
import { makers, type PartName, type Plan, planOf } from './stack-plan.ts'
import { Supervisor } from './supervisor.ts'

export type StackEvent = SetupEvent | PartEvent
export type { PartName, Role }

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
  /** Names in the catalogue of models to have in `modelsDir`. Default: the default model. */
  readonly models?: readonly string[]
  /**
   * TLS everywhere, a user with a password for whoever comes to Kafka, access lists, a token for the registry, a key for Qdrant: `secured` makes
   * them. The data folder is for such stacks only, since Kafka learns of its users when it is made. Default: whoever is on this machine is let in.
   */
  readonly secure?: Partial<SecurePlaces> & { readonly made: Secured }
  /** Gives the start up: what has begun is stopped, and `startStack` rejects. */
  readonly signal?: AbortSignal
  /** With `signal` aborted, gives up the order and the patience of that stop. */
  readonly hurry?: AbortSignal
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

/**
 * Starts Kafka, schema registry, Qdrant and Kafka Connect on this machine, without containers, and downloads them first where they
 * are missing. Resolves when all but Connect serve. Rejects, with nothing left running, if a part does not start, if a port is
 * taken, or if the data folder is in use.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, portBase, report, signal } = options
  const runDir = join(dataDir, 'run')
  mkdirSync(runDir, { recursive: true })
  const release = holdFolder(dataDir)
  const setupAbort = new AbortController()
  let supervisor: Supervisor | null = null
  let released: Promise<void> | null = null
  const stop = async (how: { hurry?: boolean } = {}): Promise<void> => {
    setupAbort.abort(new Error('the stack is stopping'))
    const stopped = supervisor?.stop(how) ?? Promise.resolve()
    released ??= stopped.finally(release)
    await released
  }
  const giveUp = () => void stop()
  const hurry = () => void stop({ hurry: true })
  signal?.addEventListener('abort', giveUp)
  options.hurry?.addEventListener('abort', hurry)
  try {
    await endLeftovers(runDir, report)
    const plan = planOf(options)
    await requireFree(portsFrom(portBase), portBase, plan.ports)
    signal?.throwIfAborted()
    const tools = setUp({ ...options, logDir: join(dataDir, 'logs'), tools: plan.tools, signal: setupAbort.signal })
    supervisor = supervise(options, plan, tools, runDir)
    await serving(supervisor, options, plan, tools)
    void supervisor.failed.then(() => stop())
    return stackOf(supervisor, options, plan, await tools.models, stop)
  } catch (error) {
    await stop()
    throw signal?.aborted ? signal.reason : error
  } finally {
    signal?.removeEventListener('abort', giveUp)
    options.hurry?.removeEventListener('abort', hurry)
  }
}

function supervise(options: StackOptions, { local, embedded }: Plan, tools: Tools, runDir: string): Supervisor {
  const { dataDir, toolsDir, portBase, roles = [], report } = options
  const secure = options.secure === undefined ? null : { topicPrefix: '', sources: [], oauth: null, ...options.secure }
  const archiveDir = join(toolsDir, 'class-archives')
  const places: Places = { ports: portsFrom(portBase), dataDir, archiveDir, tools, secure }
  return new Supervisor({
    parts: [...local.map((name) => makers[name](places, embedded)), ...roles.map((role) => rolePart(role, local))],
    runDir,
    logDir: join(dataDir, 'logs'),
    report,
  })
}

/** Resolves when all but Connect serve and the models are there; rejects with the first thing that fails. */
async function serving(supervisor: Supervisor, options: StackOptions, { local }: Plan, tools: Tools): Promise<void> {
  const names = [...local.filter((name) => name !== 'connect'), ...(options.roles ?? []).map(({ name }) => name)]
  const failure = supervisor.failed.then((error) => Promise.reject(error))
  failure.catch(() => {})
  const served = Promise.all([
    ...names.map(async (name) => await supervisor.ready(name)),
    tools.models,
    ...(options.qdrantUrl ? [reachable(options.qdrantUrl)] : []),
  ])
  await Promise.race([served, failure])
}

function stackOf(
  supervisor: Supervisor,
  options: StackOptions,
  plan: Plan,
  modelsDir: string,
  stop: Stack['stop'],
): Stack {
  const ports = portsFrom(options.portBase)
  const connectReady = plan.local.includes('connect')
    ? supervisor.ready('connect')
    : Promise.reject(new Error('this stack has no Kafka Connect'))
  connectReady.catch(() => {})
  const scheme = options.secure === undefined ? 'http' : 'https'
  return {
    urls: {
      kafka: `127.0.0.1:${ports.kafka}`,
      registry: `${scheme}://127.0.0.1:${ports.registry}`,
      connect: `http://127.0.0.1:${ports.connect}`,
      qdrant: options.qdrantUrl ?? `${scheme}://127.0.0.1:${ports.qdrant}`,
    },
    ports,
    modelsDir,
    connectReady,
    failed: supervisor.failed,
    part: (name) => ({
      get pid() {
        return supervisor.part(name).pid
      },
      kill: async (signal) => await supervisor.part(name).kill(signal),
      restart: async () => await supervisor.restart(name),
    }),
    startRole: async (role) => await supervisor.add(rolePart(role, plan.local)),
    stop,
  }
}

/** One stack for each data folder: two would write into the same files. */
function holdFolder(dataDir: string): () => void {
  const { release, holder } = tryLock(join(dataDir, 'run', 'stack.lock'))
  if (release !== undefined) return release
  throw new Error(
    `the data folder ${dataDir} is in use by another stack (process ${holder}); stop that one, or set FRESHET_DATA and FRESHET_PORT_BASE`,
  )
}
