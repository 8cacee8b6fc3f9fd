import type { IncomingHttpHeaders } from 'node:http'
import { Fatal } from '../../streams/errors.ts'
import type { InferenceConfig } from '../config.ts'
import { Buckets } from '../limits.ts'
import { isOperator, PRINCIPAL_HEADER, type Principal, type Scope, verifyPrincipal, wholeTenant } from '../principal.ts'
import { Refused } from './refused.ts'

/** Who asks, and how much they may. Headers are those of HTTP, or the metadata of gRPC. */
export interface Callers {
  /** @throws Refused for whoever did not come through the gateway, or has not the scope. */
  of(headers: Pick<IncomingHttpHeaders, string>, scope: Scope): Principal
  /** For what concerns every tenant. */
  operator(headers: Pick<IncomingHttpHeaders, string>): Principal
  /** @throws Refused if the caller has no tokens left. */
  spend(principal: Principal, tokens: number): void
}

type CallerConfig = Pick<
  InferenceConfig,
  'host' | 'tenant' | 'principals' | 'internalSecret' | 'operatorTenant' | 'inferenceTokensPerMinute'
>

export function callersOf(config: CallerConfig, now: () => number = Date.now): Callers {
  const who = config.principals === 'signed' ? signed(config, now) : configured(config)
  const buckets = new Buckets()
  const allowed = (principal: Principal, scope: Scope) => {
    if (!principal.scopes.includes(scope)) throw new Refused('forbidden', `this needs the scope ${scope}`)
    return principal
  }
  return {
    of: (headers, scope) => allowed(who(headers), scope),
    operator(headers) {
      const principal = allowed(who(headers), 'admin')
      if (config.principals === 'configured' || isOperator(principal, config.operatorTenant)) return principal
      throw new Refused('forbidden', 'this is for keys of the tenant in FRESHET_OPERATOR_TENANT')
    },
    spend({ tenant, subject, limits }, tokens) {
      const perMinute = limits.embeddedTokensPerMinute ?? config.inferenceTokensPerMinute
      const limit = { perSecond: perMinute / 60, burst: perMinute / 6 }
      const { admitted, retryAfterMs } = buckets.take(`${tenant} ${subject}`, tokens, limit, now())
      if (admitted) return
      throw new Refused('rate_limited', `${subject} may have ${perMinute} tokens embedded a minute`, { retryAfterMs })
    },
  }
}

type Who = (headers: Pick<IncomingHttpHeaders, string>) => Principal

function signed({ internalSecret }: CallerConfig, now: () => number): Who {
  if (internalSecret === undefined)
    throw new Fatal(
      'principals is signed and internalSecret is not set: give it the FRESHET_INTERNAL_SECRET of the gateway',
    )
  return (headers) => {
    const principal = verifyPrincipal(headers[PRINCIPAL_HEADER], internalSecret, now())
    if (principal === null) throw new Refused('unauthenticated', 'ask through the gateway')
    return principal
  }
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[?::1\]?)(:\d+)?$/

/** Everybody who reaches this port is the one configured tenant: for a developer, and for tests. */
function configured({ host, tenant }: CallerConfig): Who {
  if (!LOOPBACK.test(host))
    throw new Fatal(
      `host is ${host} and principals is configured: whoever reaches this port would be ${tenant}; set FRESHET_PRINCIPALS=signed and put the gateway before it`,
    )
  const principal = wholeTenant(tenant, 'configured')
  return ({ origin, [PRINCIPAL_HEADER]: header }) => {
    // A gateway that believes that tenants are told apart behind it is not to be mistaken.
    if (header !== undefined)
      throw new Refused('forbidden', 'a gateway asks, and principals is configured: set FRESHET_PRINCIPALS=signed')
    // A browser always names the page's origin.
    if (origin !== undefined) throw new Refused('forbidden', 'pages may not call here')
    return principal
  }
}
