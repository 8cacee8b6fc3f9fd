import { visibilityOf } from '../../search/visibility.ts'
import { rateHeaders } from '../limits.ts'
import type { Principal, Scope } from '../principal.ts'
import { type Cost, type OverQuota, overQuota, tokensIn } from '../quotas.ts'
import type { FreshnessFollower } from './freshness-follower.ts'
import { type ClientMessage, LIMITS, OperationError, type SubscribeMessage } from './protocol.ts'
import { costOf, noticesOf, type PublishPorts, publish, undeclaredOf } from './publishing.ts'
import { type SearchPorts, search } from './searching.ts'

export type Operation = Extract<ClientMessage, { type: 'search' | 'publish' | 'wait' }>

export interface OperationPorts extends SearchPorts, PublishPorts {
  readonly freshness: FreshnessFollower
  readonly quotas: Quotas
}

/** What is admitted, before any work is done. Takes it, or answers what the caller is over. */
export interface Quotas {
  publishing(by: Principal, cost: Cost): OverQuota | null
  /** Of texts that are embedded to search with them. */
  searching(by: Principal, embeddedTokens: number): OverQuota | null
}

export const unlimited: Quotas = { publishing: () => null, searching: () => null }

type Admitted = Operation | SubscribeMessage

/** One of these scopes is needed. */
export const needed: Readonly<Record<Admitted['type'], readonly Scope[]>> = {
  search: ['search'],
  subscribe: ['subscribe'],
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
  const { freshness, quotas } = ports
  admit(message, principal, quotas)
  if (message.type === 'search') return search(message, principal, ports, signal)
  if (message.type === 'wait')
    return {
      documents: await freshness.after(message.after, message.timeoutMs, principal, signal),
      asOf: freshness.asOf(ports.serving.of(principal).collection),
    }
  checkQuota(quotas.publishing(principal, costOf(message.documents)))
  const token = await publish(message, principal, ports)
  accepted?.(token)
  const said = noticesOf(undeclaredOf(message.documents, ports))
  if (message.ack === 'accepted') return { token, ...said }
  return { token, ...said, documents: await freshness.after(token, message.timeoutMs, principal, signal) }
}

/** Before any work is done. Throws an `OperationError` for a principal that may not do it, or not now. */
export function admit(message: Admitted, principal: Principal, quotas: Quotas): void {
  visibilityOf(principal)
  checkScope(message.type, principal)
  if (message.type !== 'search' && message.type !== 'subscribe') return
  if (message.type === 'subscribe' && message.rerank)
    throw new OperationError(
      'unsupported',
      'rerank: a standing query is not reranked, since every change would need the model; leave it out, and search with rerank when it has changed',
    )
  const embedded = typeof message.query === 'string' && message.mode !== 'keyword'
  const tokens = embedded ? tokensIn(Buffer.byteLength(message.query as string)) : 0
  const read = message.rerank ? RERANK_TOKENS : 0
  if (tokens + read > 0) checkQuota(quotas.searching(principal, tokens + read))
}

export function checkScope(type: Admitted['type'], principal: Principal): void {
  const scopes = needed[type]
  if (!scopes.some((scope) => principal.scopes.includes(scope)))
    throw new OperationError('forbidden', `${type} needs the scope ${scopes.join(' or ')}`)
}

function checkQuota(over: OverQuota | null): void {
  if (over !== null) throw overQuotaError(over)
}

export function overQuotaError(over: OverQuota): OperationError {
  const { measure, limit, taken } = over
  return new OperationError('rate_limited', `${overQuota(over)}; come back in ${inSeconds(taken.retryAfterMs)}`, {
    retryAfterMs: taken.retryAfterMs,
    rate: rateHeaders(nameOf[measure], limit, taken),
  })
}

/** What a model reads that reranks the candidates of a search, about. */
const RERANK_TOKENS = LIMITS.rerankedMax * 200

const inSeconds = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`

/** As the headers of HTTP call them. */
const nameOf = { documents: 'documents', bytes: 'bytes', embeddedTokens: 'embedded-tokens' } as const
