import type { IncomingHttpHeaders } from 'node:http'
import { erasedAt, tenantKey } from '../../maintenance/erasure-tenant.ts'
import { Fatal } from '../../streams/errors.ts'
import { keySubject, type Refused } from '../api-keys.ts'
import { authentication } from '../authentication.ts'
import { configuredQuota, jwtSettings, type QueryConfig } from '../config.ts'
import type { ControlFollower } from '../control-follower.ts'
import { Buckets } from '../limits.ts'
import {
  isAdmittedPage,
  PAGE_HEADER,
  PRINCIPAL_HEADER,
  type Principal,
  verifyPrincipal,
  wholeTenant,
} from '../principal.ts'
import { type Payer, type Quota, QuotaBuckets, quotaOf } from '../quotas.ts'
import { type Quotas, unlimited } from './operations.ts'

/** Who asks, and how much they may. */
export interface Callers {
  /** null: a page, which is to say so in its first message. */
  of(headers: IncomingHttpHeaders): Principal | null | NotLetIn
  readonly identify: ((token: string) => Promise<Principal | Refused>) | null
  readonly quotas: Quotas
  /** As `QuotaBuckets` has it. */
  left(): ReturnType<QuotaBuckets['left']>
  /** Takes one message of a WebSocket; answers until it may come again, ms. */
  take(principal: Principal): number
}

export interface NotLetIn {
  readonly status: 401 | 403
  readonly reason: string
}

/** `revoked`: told whose credential is not good any more. */
export function followCallers(config: QueryConfig, control: ControlFollower, revoked: Revoked): Callers {
  control.changed((subject, value) => {
    if (value?.tenant?.erasedAt != null) revoked(({ tenant }) => subject === tenantKey(tenant), REVOKED)
    if (!subject.startsWith(keySubject(''))) return
    const key = value?.apiKey
    const holder = `key:${subject.slice(keySubject('').length)}`
    if (key == null || key.revokedAt !== null) revoked((principal) => principal.subject === holder, REVOKED)
  })
  return config.principals === 'configured' ? configured(config, control) : signed(config, control, revoked)
}

type Revoked = (isNotGood: (principal: Principal) => boolean, why: Ending) => void

/** With what a connection is closed. */
export interface Ending {
  readonly code: number
  readonly reason: string
}

const LOOPBACK = /^(localhost|127(\.\d+){3}|\[?::1\]?)(:\d+)?$/

/** Everybody who reaches this port is the one configured tenant: for a developer, and for tests. */
function configured({ host, tenant }: QueryConfig, control: ControlFollower): Callers {
  if (!LOOPBACK.test(host))
    throw new Fatal(
      `host is ${host} and principals is configured: whoever reaches this port would be ${tenant}; set FRESHET_PRINCIPALS=signed and put the gateway before it`,
    )
  const principal = wholeTenant(tenant, 'configured')
  return {
    // A browser always names the page's origin, also where a name was made to point at this machine.
    of({ origin, [PRINCIPAL_HEADER]: signed, [PAGE_HEADER]: page }) {
      // A gateway that believes that tenants are told apart behind it is not to be mistaken.
      if (signed !== undefined || page !== undefined)
        return { status: 403, reason: 'a gateway asks, and principals is configured: set FRESHET_PRINCIPALS=signed' }
      if (origin !== undefined && !LOOPBACK.test(origin.replace(/^https?:\/\//, '')))
        return { status: 403, reason: 'pages of other origins may not call' }
      return isErased(principal, control) ? { status: 403, reason: ERASED } : principal
    },
    identify: null,
    quotas: unlimited,
    left: () => [],
    take: () => 0,
  }
}

const REVOKED: Ending = { code: 4401, reason: 'the credential is revoked' }
const UNHEARD: Ending = { code: 1013, reason: 'API keys cannot be checked now' }
const ERASED = 'the tenant was erased: nothing is admitted of it'

const isErased = ({ tenant }: Principal, { get }: ControlFollower): boolean => erasedAt(tenant, get) !== null

function signed(config: QueryConfig, control: ControlFollower, revoked: Revoked): Callers {
  const secrets = config.internalSecret
  if (secrets === undefined)
    throw new Fatal(
      'principals is signed and internalSecret is not set: give it the FRESHET_INTERNAL_SECRET of the gateway',
    )
  const now = Date.now
  const isUnheard = () => control.unheardMs() > config.keysUnheardMsMax
  setInterval(() => isUnheard() && revoked(({ subject }) => subject.startsWith('key:'), UNHEARD), LOOK_EVERY_MS).unref()
  const { identify } = authentication({
    key: (id) => control.get(keySubject(id))?.apiKey ?? undefined,
    keysUnheard: isUnheard,
    jwt: jwtSettings(config),
    now,
  })
  const requests = new Buckets()
  const spent = new QuotaBuckets()
  const share = 1 / config.limitInstances
  const tenantOf = ({ tenant }: Principal): Payer => ({
    name: `tenant ${tenant}`,
    quota: quotaOf(control.get(tenantKey(tenant))?.tenant, configuredQuota(config)),
    share,
  })
  return {
    of(headers) {
      const given = headers[PRINCIPAL_HEADER]
      if (given !== undefined) {
        const principal = verifyPrincipal(given, secrets, now())
        if (principal === null) return { status: 401, reason: 'the gateway did not sign this' }
        return isErased(principal, control) ? { status: 403, reason: ERASED } : principal
      }
      if (isAdmittedPage(headers[PAGE_HEADER], headers.origin, secrets, now())) return null
      if (headers.origin === undefined) return { status: 401, reason: 'ask through the gateway' }
      return { status: 403, reason: 'pages of other origins may not call' }
    },
    async identify(token) {
      const known = await identify(token)
      return 'refused' in known || !isErased(known, control) ? known : { refused: ERASED }
    },
    quotas: {
      publishing: (by, cost) => spent.take([tenantOf(by)], cost, now()),
      searching(by, embeddedTokens) {
        const perMinute = by.limits.embeddedTokensPerMinute ?? config.embeddedTokensPerMinute
        const own = { ...NO_BOUND, embeddedTokensPerMinute: perMinute }
        // Documents and searches of a tenant do not spend for each other.
        const tenant = tenantOf(by)
        const payers = [
          { name: `${by.subject} of ${by.tenant}`, quota: own, share },
          { ...tenant, name: `${tenant.name} (searches)` },
        ]
        return spent.take(payers, { documents: 0, bytes: 0, embeddedTokens }, now())
      },
    },
    take({ tenant, subject, limits }) {
      const perSecond = (limits.requestsPerSecond ?? config.requestsPerSecond) * share
      const limit = { perSecond, burst: Math.max(1, 2 * perSecond) }
      return requests.take(`${tenant} ${subject}`, 1, limit, now()).retryAfterMs
    },
    left: () => spent.left(now()),
  }
}

const LOOK_EVERY_MS = 1_000

const NO_BOUND: Quota = {
  documentsPerSecond: Number.MAX_SAFE_INTEGER,
  bytesPerSecond: Number.MAX_SAFE_INTEGER,
  embeddedTokensPerMinute: Number.MAX_SAFE_INTEGER,
}
