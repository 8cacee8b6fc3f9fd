import type { Authentication } from '../authentication.ts'
import { credentialIn } from '../authentication.ts'
import { Buckets, type Limit, rateHeaders } from '../limits.ts'
import { isOperator, type Principal, type Scope } from '../principal.ts'
import { mayCall } from './origins.ts'
import { Refusal } from './refusal.ts'

type Headers = Readonly<Record<string, string | string[] | undefined>>

export interface AdmissionPorts {
  readonly authentication: Authentication
  readonly origins: readonly string[]
  /** The gateway itself ends TLS. */
  readonly tls: boolean
  readonly operatorTenant?: string | undefined
  /** Requests a second of who has no limit of its own. */
  readonly requestsPerSecond: number
  /** Gateways that share the limits: each admits its part. */
  readonly instances: number
  /** Of one address: credentials that were not good. */
  readonly guesses?: Limit
  readonly now: () => number
}

/** Who is let in, before any work is done: origin, credential, scope, rate. Each throws a `Refusal`. */
export class Admission {
  readonly #ports: AdmissionPorts
  readonly #requests = new Buckets()
  /** Of addresses whose credentials were not good, so that secrets cannot be tried out. */
  readonly #failures = new Buckets()

  constructor(ports: AdmissionPorts) {
    this.#ports = ports
  }

  /** A browser always names the page's origin, also where a name was made to point at this machine. */
  checkOrigin({ origin, host }: Headers): void {
    const { origins: listed, tls } = this.#ports
    if (origin === undefined || mayCall(String(origin), host?.toString(), { listed, tls })) return
    throw new Refusal(
      403,
      'origin_refused',
      `pages of ${String(origin).slice(0, 200)} may not call; add it to FRESHET_ORIGINS`,
    )
  }

  async principal(headers: Headers, address: string): Promise<Principal> {
    const { authentication, now, guesses: limit = GUESSES } = this.#ports
    const credential = credentialIn(headers)
    if (credential === null) throw unauthenticated('there is no credential; send Authorization: Bearer or x-api-key')
    const guesses = this.#failures.take(address, 0, limit, now())
    if (guesses.remaining < 1)
      throw new Refusal(429, 'rate_limited', 'too many credentials of this address were not good', {
        'retry-after': String(Math.ceil(1 / limit.perSecond)),
      })
    const identified = typeof credential === 'string' ? await authentication.identify(credential) : credential
    if (!('refused' in identified)) return identified
    if (identified.unavailable) throw new Refusal(503, 'unavailable', identified.refused, { 'retry-after': '5' })
    this.#failures.charge(address, 1, limit, now())
    throw unauthenticated(identified.refused)
  }

  checkScope({ scopes }: Principal, wanted: readonly Scope[]): void {
    if (wanted.some((scope) => scopes.includes(scope))) return
    throw new Refusal(
      403,
      'scope_missing',
      `the credential has ${scopes.length === 0 ? 'no scope' : scopes.join(', ')}, and ${wanted.join(' or ')} is needed`,
    )
  }

  checkOperator(principal: Principal): void {
    if (isOperator(principal, this.#ports.operatorTenant)) return
    throw new Refusal(
      403,
      'operators_only',
      'this concerns every tenant: it is for the keys of FRESHET_OPERATOR_TENANT',
    )
  }

  /** Answers the headers that tell the caller how much is left. */
  take({ subject, tenant, limits }: Principal): Record<string, string> {
    const { requestsPerSecond, instances } = this.#ports
    const perSecond = (limits.requestsPerSecond ?? requestsPerSecond) / instances
    const limit = { perSecond, burst: Math.max(1, 2 * perSecond) }
    const taken = this.#requests.take(`${tenant} ${subject}`, 1, limit, this.#ports.now())
    const headers = rateHeaders('requests', limit, taken)
    if (taken.admitted) return headers
    throw new Refusal(
      429,
      'rate_limited',
      `more than ${limit.perSecond} requests a second; come back in ${(taken.retryAfterMs / 1_000).toFixed(1)} s`,
      { ...headers, 'retry-after': String(Math.ceil(taken.retryAfterMs / 1_000)) },
    )
  }
}

const unauthenticated = (why: string): Refusal =>
  new Refusal(401, 'unauthenticated', why, { 'www-authenticate': 'Bearer realm="freshet"' })

/** Credentials of one address that may be wrong. */
const GUESSES: Limit = { perSecond: 1, burst: 20 }
