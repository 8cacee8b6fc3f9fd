import { setTimeout as delay } from 'node:timers/promises'
import { z } from 'zod'
import { causeOf } from '../../streams/java-trace.ts'
import type { ConnectorState, DeclaredConnector } from './declared.ts'
import type { ActualConnector } from './reconcile.ts'
import { isSecretName } from './secrets.ts'

/** Kafka Connect by its REST API. Every call rejects with an error that says what to do, and holds no value of a setting. */
export interface ConnectClient {
  connectors(): Promise<ConnectorStatus[]>
  /** What Connect and the connector's plugin have against it; empty: nothing. Changes nothing. */
  validate(connector: DeclaredConnector): Promise<string[]>
  /** Creates it, or gives it this configuration. */
  put(connector: DeclaredConnector): Promise<void>
  setState(name: string, state: ConnectorState): Promise<void>
  /** The connector and those of its tasks that failed; `all`: every task. */
  restart(name: string, options?: { all?: boolean }): Promise<void>
  delete(name: string): Promise<void>
}

export interface ConnectorStatus extends ActualConnector {
  readonly kind: 'source' | 'sink' | 'unknown'
  /** What Connect calls it: RUNNING, FAILED, UNASSIGNED, … */
  readonly phase: string
  /** Why the connector itself failed; null: it did not. */
  readonly cause: string | null
  readonly tasks: readonly TaskStatus[]
}

export interface TaskStatus {
  readonly id: number
  readonly phase: string
  readonly worker: string
  readonly cause: string | null
}

export function connectClient(url: string): ConnectClient {
  const base = url.replace(/\/$/, '')
  const ask = async (method: string, path: string, body?: unknown): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      const response = await request(base, method, path, body)
      if (response.ok) return response.status === 204 ? null : await response.json().catch(() => null)
      // While its workers share out the work anew it takes no changes.
      if (response.status === 409 && attempt < ATTEMPTS_MAX && method !== 'POST') {
        await delay(RETRY_MS)
        continue
      }
      throw new Error(`Connect refuses ${method} ${path}: ${await messageOf(response)}`)
    }
  }
  const named = (name: string) => `/connectors/${encodeURIComponent(name)}`
  return {
    async connectors() {
      const all = listing.parse(await ask('GET', '/connectors?expand=info&expand=status'))
      return Object.entries(all)
        .map(([name, { info, status }]) => statusOf(name, info, status))
        .sort((a, b) => (a.name < b.name ? -1 : 1))
    },
    async validate({ name, config }) {
      const type = config['connector.class']!
      const path = `/connector-plugins/${encodeURIComponent(type)}/config/validate`
      const { configs } = validation.parse(await ask('PUT', path, { ...config, name }))
      // What it answers holds secrets resolved, also within what it has against them.
      return configs.flatMap(({ definition, value }) =>
        value.errors.map((error) =>
          definition?.type === 'PASSWORD' || isSecretName(value.name)
            ? `${value.name}: is refused; its value is not shown`
            : `${value.name}: ${error.replaceAll(/\s+/g, ' ')}`,
        ),
      )
    },
    put: async ({ name, config }) => void (await ask('PUT', `${named(name)}/config`, { ...config, name })),
    setState: async (name, state) =>
      void (await ask('PUT', `${named(name)}/${{ running: 'resume', paused: 'pause', stopped: 'stop' }[state]}`)),
    restart: async (name, { all = false } = {}) =>
      void (await ask('POST', `${named(name)}/restart?includeTasks=true&onlyFailed=${!all}`)),
    delete: async (name) => void (await ask('DELETE', named(name))),
  }
}

async function request(base: string, method: string, path: string, body: unknown): Promise<Response> {
  try {
    return await fetch(`${base}${path}`, {
      method,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      signal: AbortSignal.timeout(REQUEST_MS_MAX),
      ...(body !== undefined && { body: JSON.stringify(body) }),
    })
  } catch (cause) {
    throw new Error(
      `Kafka Connect does not answer at ${base.replace(/\/\/[^@/]*@/, '//')}; is it started, and is FRESHET_CONNECT_URL right?`,
      { cause },
    )
  }
}

async function messageOf(response: Response): Promise<string> {
  const text = await response.text()
  try {
    const { message } = JSON.parse(text) as { message?: unknown }
    if (typeof message === 'string') return `${pluginsShortened(message)} (${response.status})`
  } catch {}
  return `it answers ${response.status}, and not as Kafka Connect does; is FRESHET_CONNECT_URL right?`
}

/** Of a class that is not there it names every plugin with all that it knows of it: the names are what helps. */
function pluginsShortened(message: string): string {
  const missing = /name matches ([\w.$]+), available connectors are: (.*)$/s.exec(message)
  if (missing === null) return message.replaceAll(/\s+/g, ' ').slice(0, 600)
  const there = [...missing[2]!.matchAll(/name='([\w.$]+)'/g)].map(([, name]) => name)
  return `connector.class: Connect has no ${missing[1]}; it has ${[...new Set(there)].join(', ')}`
}

const phases = z.object({ state: z.string(), worker_id: z.string(), trace: z.string().optional() })
const infoShape = z.object({ config: z.record(z.string(), z.string()) })
const statusShape = z.object({
  connector: phases,
  tasks: z.array(phases.extend({ id: z.number() })),
  type: z.enum(['source', 'sink', 'unknown']).catch('unknown'),
})
const listing = z.record(z.string(), z.object({ info: infoShape, status: statusShape }))
const validation = z.object({
  configs: z.array(
    z.object({
      definition: z.object({ type: z.string() }).nullish(),
      value: z.object({ name: z.string(), errors: z.array(z.string()) }),
    }),
  ),
})

function statusOf(
  name: string,
  { config }: z.infer<typeof infoShape>,
  { connector, tasks, type }: z.infer<typeof statusShape>,
): ConnectorStatus {
  return {
    name,
    config,
    kind: type,
    phase: connector.state,
    state: connector.state === 'PAUSED' ? 'paused' : connector.state === 'STOPPED' ? 'stopped' : 'running',
    cause: connector.trace === undefined ? null : causeOf(connector.trace),
    tasks: tasks.map(({ id, state, worker_id, trace }) => ({
      id,
      phase: state,
      worker: worker_id,
      cause: trace === undefined ? null : causeOf(trace),
    })),
  }
}

/** A plugin that is validated may ask its database first. */
const REQUEST_MS_MAX = 60_000
const ATTEMPTS_MAX = 40
const RETRY_MS = 250
