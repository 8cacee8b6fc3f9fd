import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ApiKey, Control } from '../schemas/records.ts'
import { type Principal, type Scope, scopes } from './principal.ts'

/** An API key is `fk_<id>_<secret>`. The platform knows the id and the SHA-256 of the secret; only its holder knows the secret. */
export interface KeyText {
  readonly id: string
  readonly secret: string
}

export function newKey(): KeyText & { readonly text: string } {
  const id = [...randomBytes(ID_CHARS)].map((byte) => ALPHABET[byte % ALPHABET.length]).join('')
  const secret = randomBytes(SECRET_BYTES).toString('base64url')
  return { id, secret, text: `fk_${id}_${secret}` }
}

/** null for what is no key. */
export function parseKey(text: string): KeyText | null {
  const match = /^fk_([a-z2-7]{12})_([A-Za-z0-9_-]{43})$/.exec(text)
  return match === null ? null : { id: match[1]!, secret: match[2]! }
}

export const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/** Under which a key is kept in `control`. */
export const keySubject = (id: string): string => `keys/${id}`

/** Every key of the platform, by its id. */
export function keysIn(entries: Iterable<readonly [string, Control]>): Map<string, ApiKey> {
  const keys = new Map<string, ApiKey>()
  for (const [subject, { apiKey }] of entries)
    if (apiKey !== null && subject.startsWith(keySubject(''))) keys.set(subject.slice(keySubject('').length), apiKey)
  return keys
}

/** Who holds the key, or why it is not good. */
export function holderOf({ id, secret }: KeyText, key: ApiKey | undefined, now: number): Principal | Refused {
  // The same work for an id that does not exist: an answer's time says nothing.
  const given = Buffer.from(hashOf(secret), 'hex')
  const known = Buffer.from(key?.sha256 ?? hashOf(''), 'hex')
  const matches = given.length === known.length && timingSafeEqual(given, known)
  if (key === undefined || !matches) return { refused: 'the API key is not known' }
  if (key.revokedAt !== null) return { refused: 'the API key is revoked' }
  if (key.expiresAt !== null && key.expiresAt <= now) return { refused: 'the API key has expired' }
  const same = principals.get(key)
  if (same !== undefined) return same
  const { tenant, groups, expiresAt, requestsPerSecond, embeddedTokensPerMinute, generatedTokensPerMinute } = key
  const principal = {
    tenant,
    subject: `key:${id}`,
    scopes: key.scopes.filter((scope): scope is Scope => (scopes as readonly string[]).includes(scope)),
    groups,
    expiresAt,
    limits: { requestsPerSecond, embeddedTokensPerMinute, generatedTokensPerMinute },
  }
  principals.set(key, principal)
  return principal
}

/** The same each time for the same record: what is known of a principal is found again. */
const principals = new WeakMap<ApiKey, Principal>()

export interface Refused {
  readonly refused: string
  /** Nobody can say now whether the credential is good: the caller is to come back, and has guessed nothing. */
  readonly unavailable?: true
}

const ALPHABET = 'abcdefghijklmnopqrstuvwxyz234567'
const ID_CHARS = 12
const SECRET_BYTES = 32
