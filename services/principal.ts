import { createHmac, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { TENANT_NAME } from '../schemas/tenant-name.ts'
import { EVERY_GROUP, groupCharsMax } from '../search/visibility.ts'

/** What a caller may do. `admin` does not include the others. */
export const scopes = ['search', 'ask', 'publish', 'subscribe', 'infer', 'admin'] as const
export type Scope = (typeof scopes)[number]

const principal = z.strictObject({
  tenant: z.string().regex(TENANT_NAME),
  subject: z.string().min(1).max(256),
  scopes: z.array(z.enum(scopes)).readonly(),
  groups: z.array(z.string().min(1).max(groupCharsMax)).max(256).readonly(),
  expiresAt: z.number().int().nullable(),
  limits: z.strictObject({
    requestsPerSecond: z.number().nullable(),
    embeddedTokensPerMinute: z.number().nullable(),
    generatedTokensPerMinute: z.number().nullable(),
  }),
})

/**
 * Who asks, as the gateway found out. The tenant of every read and write is this one, and nothing that the caller sends names
 * another.
 */
export interface Principal {
  readonly tenant: string
  /** `key:<id>` or `jwt:<sub>`: for logs and audit records. */
  readonly subject: string
  readonly scopes: readonly Scope[]
  /** Documents with an `acl` are shown to those who are in one of its groups; `*` is in every one. */
  readonly groups: readonly string[]
  /** A connection ends then at the latest, ms since 1970. null: it does not expire. */
  readonly expiresAt: number | null
  readonly limits: OwnLimits
}

/** null: the configured one. */
export interface OwnLimits {
  readonly requestsPerSecond: number | null
  readonly embeddedTokensPerMinute: number | null
  readonly generatedTokensPerMinute: number | null
}

export const noOwnLimits: OwnLimits = {
  requestsPerSecond: null,
  embeddedTokensPerMinute: null,
  generatedTokensPerMinute: null,
}

/** Who decides for the whole platform: whoever has the scope `admin` in the operators' tenant, if there is one. */
export const isOperator = ({ tenant, scopes }: Principal, operatorTenant: string | undefined): boolean =>
  tenant === operatorTenant && scopes.includes('admin')

/** May do everything in its tenant. */
export const wholeTenant = (tenant: string, subject: string): Principal => ({
  tenant,
  subject,
  scopes,
  groups: [EVERY_GROUP],
  expiresAt: null,
  limits: noOwnLimits,
})

/**
 * How the gateway tells a service behind it who asks: `v1.<principal>.<until>.<HMAC-SHA-256>`, each in base64url, good for a
 * moment. Whoever reaches the service by another way has no secret, and is nobody.
 */
export const PRINCIPAL_HEADER = 'x-freshet-principal'

/** Signs, and knows for a moment what it has signed: whoever asks often is the same principal again. */
export function principalSigner(secret: string): (principal: Principal, now: number) => string {
  const signed = new WeakMap<Principal, { readonly header: string; readonly at: number }>()
  return (principal, now) => {
    const known = signed.get(principal)
    if (known !== undefined && now >= known.at && now - known.at < KNOWN_MS) return known.header
    const header = signPrincipal(principal, secret, now)
    signed.set(principal, { header, at: now })
    return header
  }
}

export function signPrincipal(principal: Principal, secret: string, now: number): string {
  const body = `v1.${Buffer.from(JSON.stringify(principal)).toString('base64url')}.${now + GOOD_MS}`
  return `${body}.${mac(body, secret)}`
}

/** null for what was not signed with one of the secrets, what is too old, and what is no principal. */
export function verifyPrincipal(
  header: string | readonly string[] | undefined,
  secrets: readonly string[],
  now: number,
): Principal | null {
  if (typeof header !== 'string' || header.length > HEADER_CHARS_MAX) return null
  const parts = header.split('.')
  const [version, encoded, until, given] = parts
  if (parts.length !== 4 || version !== 'v1' || encoded === undefined || given === undefined) return null
  const body = header.slice(0, header.lastIndexOf('.'))
  if (!secrets.some((secret) => isEqual(mac(body, secret), given))) return null
  if (!(Number(until) > now)) return null
  const parsed = principal.safeParse(JSON.parse(Buffer.from(encoded, 'base64url').toString('utf8')))
  if (!parsed.success || (parsed.data.expiresAt !== null && parsed.data.expiresAt <= now)) return null
  return parsed.data
}

/**
 * How the gateway tells a service that a page may open a WebSocket, though nobody knows yet who sits before it:
 * `page.<origin>.<until>.<HMAC-SHA-256>`, good as long as a principal.
 */
export const PAGE_HEADER = 'x-freshet-page'

export function signPage(origin: string, secret: string, now: number): string {
  const body = `page.${Buffer.from(origin).toString('base64url')}.${now + GOOD_MS}`
  return `${body}.${mac(body, secret)}`
}

/** Whether the gateway let in a page of this origin, a moment ago. */
export function isAdmittedPage(
  header: string | readonly string[] | undefined,
  origin: string | undefined,
  secrets: readonly string[],
  now: number,
): boolean {
  if (typeof header !== 'string' || origin === undefined) return false
  const [kind, encoded, until, given, ...more] = header.split('.')
  if (kind !== 'page' || given === undefined || more.length > 0) return false
  const body = header.slice(0, header.lastIndexOf('.'))
  if (!secrets.some((secret) => isEqual(mac(body, secret), given))) return false
  return encoded === Buffer.from(origin).toString('base64url') && Number(until) > now
}

const mac = (body: string, secret: string): string => createHmac('sha256', secret).update(body).digest('base64url')

function isEqual(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

/** From the gateway to the service, clocks of one network apart. */
const GOOD_MS = 30_000
/** Far below that. */
const KNOWN_MS = 5_000
const HEADER_CHARS_MAX = 48 * 1024
