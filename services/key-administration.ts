import type { ApiKey, Control } from '../schemas/records.ts'
import { isTenantName, TENANT_NAME_IN_WORDS } from '../schemas/tenant-name.ts'
import type { Administration } from './administration.ts'
import { hashOf, keySubject, keysIn, newKey } from './api-keys.ts'
import type { Scope } from './principal.ts'

export interface WantedKey {
  /** For people. */
  readonly name: string
  readonly tenant: string
  readonly scopes: readonly Scope[]
  readonly groups: readonly string[]
  /** Days until it is not good any more; undefined: never. */
  readonly expires?: number | undefined
  readonly requestsPerSecond?: number | null | undefined
  readonly embeddedTokensPerMinute?: number | null | undefined
  readonly generatedTokensPerMinute?: number | null | undefined
}

/** `apiKey` is shown this once: its secret is nowhere. */
export async function createKey(wanted: WantedKey, { by, decide }: Administration, now = Date.now()) {
  const { name, tenant, scopes, groups } = wanted
  if (!isTenantName(tenant)) throw new Error(`tenant: is ${JSON.stringify(tenant)}; it ${TENANT_NAME_IN_WORDS}`)
  const { id, secret, text } = newKey()
  const expiresAt = wanted.expires === undefined ? null : now + wanted.expires * DAY_MS
  const apiKey: ApiKey = {
    sha256: hashOf(secret),
    name,
    tenant,
    scopes: [...scopes],
    groups: [...groups],
    createdAt: now,
    by,
    expiresAt,
    revokedAt: null,
    requestsPerSecond: wanted.requestsPerSecond ?? null,
    embeddedTokensPerMinute: wanted.embeddedTokensPerMinute ?? null,
    generatedTokensPerMinute: wanted.generatedTokensPerMinute ?? null,
  }
  const detail = `${name}, of ${tenant}, for ${scopes.join(' ')}`
  await decide(keySubject(id), { apiKey }, { what: 'keys create', detail })
  return { apiKey: text, id, name, tenant, scopes, groups, expiresAt }
}

export interface ListedKey extends Omit<ApiKey, 'sha256'> {
  readonly id: string
  readonly state: 'good' | 'revoked' | 'expired'
}

/** Of one tenant, or of all: without their secrets, which nobody has, and their hashes. */
export function listKeys(
  entries: Iterable<readonly [string, Control]>,
  tenant: string | null = null,
  now = Date.now(),
): ListedKey[] {
  return [...keysIn(entries)]
    .filter(([, key]) => tenant === null || key.tenant === tenant)
    .map(([id, { sha256: _, ...key }]) => ({ id, state: stateOf(key, now), ...key }))
}

/** undefined: there is no such key, or none of this tenant. One that is revoked already stays as it is. */
export async function revokeKey(
  id: string,
  { control, decide }: Administration,
  tenant: string | null = null,
  now = Date.now(),
): Promise<{ readonly id: string; readonly revokedAt: number } | undefined> {
  const apiKey = control.get(keySubject(id))?.apiKey ?? null
  if (apiKey === null || (tenant !== null && apiKey.tenant !== tenant)) return undefined
  if (apiKey.revokedAt !== null) return { id, revokedAt: apiKey.revokedAt }
  await decide(keySubject(id), { apiKey: { ...apiKey, revokedAt: now } }, { what: 'keys revoke', detail: apiKey.name })
  return { id, revokedAt: now }
}

const stateOf = ({ revokedAt, expiresAt }: Omit<ApiKey, 'sha256'>, now: number): ListedKey['state'] => {
  if (revokedAt !== null) return 'revoked'
  return expiresAt !== null && expiresAt <= now ? 'expired' : 'good'
}

const DAY_MS = 86_400_000
