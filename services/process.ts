import { createServer, type Server } from 'node:http'
import { pino } from 'pino'
import { collectDefaultMetrics, Registry } from 'prom-client'
import { reasonOf } from '../streams/errors.ts'
import type { NamedState, States } from '../streams/states.ts'
import { blockedBy, observedStates, stateReport } from './named-states.ts'

/** The frame of every process: log, metrics, health, signals, and one way to end. */
export interface Frame {
  readonly role: string
  readonly log: pino.Logger
  readonly metrics: Registry
  /** For a line for each request: a write for each would cost as much as the request. Those of the last moment are lost with a kill -9. */
  accessLog(): pino.Logger
  /** Named states of this process: on `/health/ready`, as a metric and in the log. */
  readonly states: States
  /** Said on `/health/ready`, 503 until every check holds. Each check answers null, or what is missing. */
  ready(check: () => string | null): void
  /** Work to be done before the process ends, last registered first. */
  closing(close: () => Promise<void>): void
  /** Ends the process with exit code 1 and the reason, after closing. */
  fail(error: Error): void
}

export interface FrameOptions {
  readonly role: string
  readonly host: string
  readonly adminPort: number
  readonly logLevel: string
}

export async function openFrame({ role, host, adminPort, logLevel }: FrameOptions): Promise<Frame> {
  const shape = {
    level: logLevel,
    base: { role },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: ['apiKey', 'token', 'password', '*.apiKey', '*.token', '*.password', '*.authorization'],
  }
  const log = pino(shape)
  const metrics = new Registry()
  metrics.setDefaultLabels({ role })
  collectDefaultMetrics({ register: metrics })
  const states = observedStates(metrics, log)
  const checks: (() => string | null)[] = []
  const closers: (() => Promise<void>)[] = []
  const missing = () => [
    ...checks.map((check) => check()).filter((reason) => reason !== null),
    ...blockedBy(states.present(), Date.now()),
  ]

  let server: Server | undefined
  const close = async (): Promise<void> => {
    const forced = setTimeout(() => {
      log.error(`did not stop within ${CLOSE_MS_MAX} ms`)
      process.exit(1)
    }, CLOSE_MS_MAX)
    for (const each of closers.reverse())
      await each().catch((error) => log.warn({ reason: reasonOf(error) }, 'while stopping'))
    clearTimeout(forced)
    server?.closeAllConnections()
    server?.close()
    log.info('stopped')
  }
  const fail = (error: Error): void => {
    if (!ending) log.fatal({ reason: reasonOf(error), stack: error.stack }, `${role} cannot go on: ${reasonOf(error)}`)
    void end(1)
  }
  if (present.length === 0) follow(process)
  present.push({ role, log, close })
  server = await listenAdmin(host, adminPort, metrics, missing, () => states.present())

  return {
    role,
    log,
    metrics,
    states,
    accessLog: () => pino(shape, someAtATime()),
    ready: (check) => checks.push(check),
    closing: (close) => closers.push(close),
    fail,
  }
}

function someAtATime(): ReturnType<typeof pino.destination> {
  const destination = pino.destination({ fd: 1, minLength: LOG_CHARS, sync: false })
  setInterval(() => destination.flush(), LOG_MS).unref()
  process.on('exit', () => destination.flushSync())
  return destination
}

/** A pipe takes that much in one piece. */
const LOG_CHARS = 4_096
const LOG_MS = 500

/** Of this process: one, or one of each role of `all`. */
const present: { readonly role: string; readonly log: pino.Logger; close(): Promise<void> }[] = []
let ending = false

/** Once for the whole process: where one role cannot go on, none does. */
async function end(code: number): Promise<void> {
  if (ending) return
  ending = true
  // Who was opened last is closed first: the door before what is behind it.
  for (const { close } of present.reverse()) await close()
  process.exitCode = code
  // Clients of others may hold handles open (sockets of a broker that is gone): what was to be said is said.
  setTimeout(() => process.exit(code), EXIT_MS_MAX).unref()
}

function follow(own: NodeJS.Process): void {
  own.on('SIGTERM', () => void end(0))
  own.on('SIGINT', () => void end(0))
  /**
   * What is under way is half done: nothing is closed in order, as after a kill -9. To commit that the tasks came to a clean end would
   * hide the record that did this from those who count crashes, and it would do so for ever.
   */
  const crash = (reason: unknown): void => {
    const stack = reason instanceof Error ? reason.stack : undefined
    const roles = present.map(({ role }) => role).join(', ')
    present[0]!.log.fatal(
      { reason: reasonOf(reason), stack },
      `nobody caught an error of ${roles}: ${reasonOf(reason)}`,
    )
    if (!ending) own.exit(1)
  }
  own.on('uncaughtException', crash)
  own.on('unhandledRejection', crash)
}

/** Of one role. */
const CLOSE_MS_MAX = 15_000
const EXIT_MS_MAX = 1_000

function listenAdmin(
  host: string,
  port: number,
  metrics: Registry,
  missing: () => string[],
  present: () => readonly NamedState[],
): Promise<Server> {
  const server = createServer(async ({ url, method }, response) => {
    const answer = (status: number, type: string, body: string) =>
      response.writeHead(status, { 'content-type': type }).end(body)
    if (method !== 'GET') return answer(405, 'text/plain', 'GET only\n')
    if (url === '/metrics') return answer(200, metrics.contentType, await metrics.metrics())
    if (url === '/health/live') return answer(200, 'application/json', '{"status":"live"}\n')
    if (url === '/health' || url === '/health/ready') {
      const reasons = missing()
      const states = present().map(stateReport)
      const body = JSON.stringify(
        reasons.length === 0 ? { status: 'ready', states } : { status: 'not ready', missing: reasons, states },
      )
      return answer(reasons.length === 0 ? 200 : 503, 'application/json', `${body}\n`)
    }
    return answer(404, 'text/plain', 'there are /metrics, /health/live and /health/ready\n')
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => resolve(server))
  })
}
