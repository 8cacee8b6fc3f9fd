import type { IncomingHttpHeaders } from 'node:http'
import { Readable } from 'node:stream'
import { errors } from 'undici'
import { Buckets } from '../limits.ts'
import { PRINCIPAL_HEADER, type Principal, principalSigner } from '../principal.ts'
import { STREAMED_MS_MAX } from './bounds.ts'
import type { Pools } from './pools.ts'
import { Refusal } from './refusal.ts'
import type { Route } from './routes.ts'

export interface Forwarded {
  readonly status: number
  readonly headers: Record<string, string | string[]>
  readonly body: Readable
  readonly origin: string
  readonly attempts: number
}

export interface Asked {
  readonly method: Route['method']
  /** With the query string. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** A stream is read once: what comes of it is not asked for again. */
  readonly body: Buffer | Readable | undefined
  readonly requestId: string
  readonly signal: AbortSignal
}

export interface ForwardPorts {
  readonly secret: string
  readonly now: () => number
  readonly random: () => number
  retried(role: string): void
}

/** Asks an instance, and another one if that does no harm. Throws a `Refusal` when none answers. */
export class Forwarder {
  readonly #ports: ForwardPorts
  readonly #budget = new Buckets()
  readonly #sign: ReturnType<typeof principalSigner>

  constructor(ports: ForwardPorts) {
    this.#ports = ports
    this.#sign = principalSigner(ports.secret)
  }

  async forward(pools: Pools, route: Route, principal: Principal, asked: Asked): Promise<Forwarded> {
    const { now, random } = this.#ports
    const { upstreams } = pools
    const tried = new Set<string>()
    for (let attempts = 1; ; attempts++) {
      const origin = upstreams.pick(now(), random, tried)
      if (origin === null) throw unavailable(route, upstreams.retryAfterMs(now()))
      tried.add(origin)
      upstreams.began(origin, now())
      let over = false
      const end = (failed: boolean) => {
        if (!over) upstreams.ended(origin, failed, now())
        over = true
      }
      try {
        const answer = await pools.pool(origin).request({
          path: asked.url,
          method: asked.method,
          headers: {
            ...passedOn(asked.headers),
            'x-request-id': asked.requestId,
            [PRINCIPAL_HEADER]: this.#sign(principal, now()),
          },
          ...(hasBody(asked) && { body: asked.body }),
          // A service that takes its time with a body is not one that does not answer.
          ...(asked.body instanceof Readable && { headersTimeout: STREAMED_MS_MAX }),
          signal: asked.signal,
        })
        // A 504 of a service is its answer: what the caller would wait for did not come in the time that the caller gave.
        const failed = answer.statusCode === 502
        if (failed && this.#mayRepeat(route, attempts, true)) {
          end(true)
          await answer.body.dump()
          this.#ports.retried(route.to)
          continue
        }
        answer.body.once('close', () => end(failed))
        return { status: answer.statusCode, headers: answered(answer.headers), body: answer.body, origin, attempts }
      } catch (error) {
        end(!asked.signal.aborted)
        if (asked.signal.aborted) throw error
        const sent =
          asked.body instanceof Readable || !(error instanceof errors.ConnectTimeoutError || isRefused(error))
        // Whoever has waited that long is not to wait as long again.
        const isLate = error instanceof errors.HeadersTimeoutError
        if (isLate || !this.#mayRepeat(route, attempts, sent)) throw failure(route, error)
        this.#ports.retried(route.to)
      }
    }
  }

  /** What was not sent can always be asked elsewhere. Repetitions are a small share of all requests, or they would bring down what is slow. */
  #mayRepeat({ to, repeatable }: Route, attempts: number, sent: boolean): boolean {
    if (attempts >= ATTEMPTS_MAX || (sent && !repeatable)) return false
    return this.#budget.take(to, 1, RETRIES, this.#ports.now()).admitted
  }
}

const hasBody = ({ body }: Asked): boolean => body instanceof Readable || (body !== undefined && body.length > 0)

/** Only what is named goes through: no credential, no address, nothing that claims to be us. */
const PASSED_ON = [
  'accept',
  'accept-language',
  'content-type',
  'content-encoding',
  'user-agent',
  'traceparent',
  'tracestate',
  'prefer',
  'x-freshet-after',
  'x-freshet-priority',
  'x-freshet-deadline-ms',
  'x-freshet-session',
  'x-freshet-space',
  'last-event-id',
  'idempotency-key',
] as const

export function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name of PASSED_ON) {
    const value = headers[name]
    if (typeof value === 'string') passed[name] = value
  }
  return passed
}

/** Of the connection between us and the service; the caller has another. */
const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'date',
  'server',
])

function answered(headers: Record<string, string | string[] | undefined>): Record<string, string | string[]> {
  const entries = Object.entries(headers).filter(
    (entry): entry is [string, string | string[]] => entry[1] !== undefined && !HOP_BY_HOP.has(entry[0]),
  )
  return Object.fromEntries(entries)
}

const isRefused = (error: unknown): boolean => {
  const code = (error as { code?: string }).code
  return code === 'ECONNREFUSED' || code === 'ENOTFOUND' || code === 'EHOSTUNREACH'
}

function failure(route: Route, error: unknown): Refusal {
  if (error instanceof errors.HeadersTimeoutError)
    return new Refusal(504, 'timeout', `the ${route.to} service did not answer in time`)
  return new Refusal(
    502,
    'unavailable',
    `the ${route.to} service ended the connection; it is not known whether it has acted`,
    {
      'retry-after': '1',
    },
  )
}

function unavailable({ to }: Route, retryAfterMs: number): Refusal {
  return new Refusal(503, 'unavailable', `no instance of the ${to} service is well`, {
    'retry-after': String(Math.ceil(retryAfterMs / 1_000)),
  })
}

const ATTEMPTS_MAX = 3
const RETRIES = { perSecond: 10, burst: 20 }
