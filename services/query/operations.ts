import { visibilityOf } from '../../search/visibility.ts'
import type { Buckets, Limit } from '../limits.ts'
import type { Principal, Scope } from '../principal.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { type ClientMessage, OperationError } from './protocol.ts'
import { bytesOf, type PublishPorts, publish } from './publishing.ts'
import { type SearchPorts, search } from './searching.ts'

export type Operation = Extract<ClientMessage, { type: 'search' | 'publish' | 'wait' }>

export interface OperationPorts extends SearchPorts, PublishPorts {
  readonly freshness: FreshnessFollower
  readonly quotas: Quotas
}

/** What is admitted, before any work is done. */
export interface Quotas {
  readonly buckets: Buckets
  readonly now: () => number
  /** Of the tenant, as `control` or the configuration says. */
  documentsOf(tenant: string): Limit
  bytesOf(tenant: string): Limit
  /** Of texts that are embedded for the principal. */
  tokensOf(principal: Principal): Limit
}

const needed: Readonly<Record<Operation['type'], readonly Scope[]>> = {
  search: ['search'],
  publish: ['publish'],
  wait: ['search', 'publish'],
}

/**
 * Performs one operation for the principal, whichever way it came. `accepted` hears of a publish that Kafka has, before its outcome is
 * known. Rejects with an `OperationError`; a principal without a tenant is refused before anything is asked for it.
 */
export async function perform(
  message: Operation,
  principal: Principal,
  ports: OperationPorts,
  { signal, accepted }: { signal: AbortSignal; accepted?: (token: string) => void },
): Promise<object> {
  const { tenant } = visibilityOf(principal)
  const scopes = needed[message.type]
  if (!scopes.some((scope) => principal.scopes.includes(scope)))
    throw new OperationError('forbidden', `${message.type} needs the scope ${scopes.join(' or ')}`)
  const { freshness, quotas } = ports
  if (message.type === 'search') {
    if (typeof message.query === 'string' && message.mode !== 'keyword')
      spend(
        quotas,
        'embedded tokens',
        `${tenant} ${principal.subject} tokens`,
        tokensIn(message.query),
        quotas.tokensOf(principal),
      )
    return search(message, principal, ports, signal)
  }
  if (message.type === 'wait')
    return {
      documents: await freshness.after(message.after, message.timeoutMs, principal, signal),
      asOf: freshness.asOf(),
    }
  spend(quotas, 'documents', `${tenant} documents`, message.documents.length, quotas.documentsOf(tenant))
  spend(quotas, 'bytes', `${tenant} bytes`, bytesOf(message), quotas.bytesOf(tenant))
  const token = await publish(message, principal, ports)
  accepted?.(token)
  if (message.ack === 'accepted') return { token }
  return { token, documents: await freshness.after(token, message.timeoutMs, principal, signal) }
}

function spend({ buckets, now }: Quotas, what: string, holder: string, cost: number, limit: Limit): void {
  const { admitted, retryAfterMs } = buckets.take(holder, cost, limit, now())
  if (admitted) return
  throw new OperationError(
    'rate_limited',
    `more than ${limit.perSecond} ${what} a second; come back in ${(retryAfterMs / 1_000).toFixed(1)} s`,
    { retryAfterMs },
  )
}

/** About as many as the model's tokenizer makes of it, without asking it. */
const tokensIn = (text: string): number => Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN)

const BYTES_PER_TOKEN = 4
