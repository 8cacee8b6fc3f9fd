import { createRemoteJWKSet, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { ApiKey } from '../schemas/records.ts'
import { isTenantName } from '../schemas/tenant-name.ts'
import { groupCharsMax } from '../search/visibility.ts'
import { holderOf, parseKey, type Refused } from './api-keys.ts'
import { noOwnLimits, type Principal, type Scope, scopes } from './principal.ts'

export interface JwtSettings {
  readonly issuer: string
  readonly audience: string
  readonly jwksUrl: string
  readonly algorithms: readonly string[]
  /** Which claim names the tenant. */
  readonly tenantClaim: string
}

export interface AuthenticationPorts {
  key(id: string): ApiKey | undefined
  /** Revoked keys may not have been heard of for too long: none is believed. */
  keysUnheard?(): boolean
  /** null: only API keys are good. */
  readonly jwt: JwtSettings | null
  readonly now: () => number
  /** For tests; default: fetched from `jwksUrl`, and kept. */
  readonly jwks?: JWTVerifyGetKey
}

/** Who the credential belongs to. It is an API key or a JWT; nothing else is looked at. */
export interface Authentication {
  identify(credential: string): Promise<Principal | Refused>
}

export function authentication({ key, keysUnheard, jwt, now, jwks }: AuthenticationPorts): Authentication {
  const keys =
    jwt === null
      ? null
      : (jwks ??
        createRemoteJWKSet(new URL(jwt.jwksUrl), {
          timeoutDuration: JWKS_TIMEOUT_MS,
          cooldownDuration: JWKS_COOLDOWN_MS,
          cacheMaxAge: JWKS_AGE_MS_MAX,
        }))
  return {
    async identify(credential) {
      const apiKey = parseKey(credential)
      if (apiKey !== null && keysUnheard?.()) return { refused: 'API keys cannot be checked now', unavailable: true }
      if (apiKey !== null) return holderOf(apiKey, key(apiKey.id), now())
      if (credential.startsWith('fk_')) return { refused: 'the API key is not complete' }
      if (jwt === null || keys === null) return { refused: 'the token is no API key, and no other is accepted here' }
      try {
        const { issuer, audience, algorithms } = jwt
        const { payload } = await jwtVerify(credential, keys, {
          issuer,
          audience,
          algorithms: [...algorithms],
          clockTolerance: SKEW_SECONDS,
          currentDate: new Date(now()),
          requiredClaims: ['exp', 'sub'],
        })
        return principalOf(payload, jwt)
      } catch (error) {
        return whyNot(error)
      }
    },
  }
}

/** The credential of a request: `Authorization: Bearer` or `x-api-key`. Never from the address, which is logged everywhere. */
export function credentialIn(
  headers: Readonly<Record<string, string | string[] | undefined>>,
): string | Refused | null {
  const { authorization, 'x-api-key': apiKey } = headers
  if (authorization !== undefined && apiKey !== undefined)
    return { refused: 'there are two credentials; send Authorization or x-api-key, not both' }
  if (Array.isArray(apiKey)) return { refused: 'there are several x-api-key; send one' }
  if (apiKey !== undefined) return apiKey.slice(0, CREDENTIAL_CHARS_MAX)
  if (authorization === undefined) return null
  const match = /^Bearer +([A-Za-z0-9._~+/=-]+)$/i.exec(authorization as string)
  if (match === null || match[1]!.length > CREDENTIAL_CHARS_MAX)
    return { refused: 'Authorization is not "Bearer" and a token' }
  return match[1]!
}

function principalOf(payload: JWTPayload, { tenantClaim }: JwtSettings): Principal | Refused {
  const tenant = payload[tenantClaim]
  if (!isTenantName(tenant)) return { refused: `the token's claim ${tenantClaim} names no tenant` }
  const granted = wordsOf(payload.scope).concat(wordsOf(payload.scopes))
  return {
    tenant,
    subject: `jwt:${payload.sub!.slice(0, 128)}`,
    scopes: scopes.filter((scope: Scope) => granted.includes(scope)),
    groups: wordsOf(payload.groups)
      .filter((group) => group.length <= groupCharsMax)
      .slice(0, GROUPS_MAX),
    expiresAt: (payload.exp! + SKEW_SECONDS) * 1_000,
    limits: noOwnLimits,
  }
}

/** Claims are a list, or words with spaces between. */
function wordsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(' ').filter((word) => word !== '')
  return Array.isArray(claim) ? claim.filter((each): each is string => typeof each === 'string' && each !== '') : []
}

function whyNot(error: unknown): Refused {
  if (error instanceof errors.JWTExpired) return { refused: 'the token has expired' }
  if (error instanceof errors.JWTClaimValidationFailed) return { refused: `the token's claim ${error.claim} is wrong` }
  if (error instanceof errors.JOSEAlgNotAllowed)
    return { refused: 'the token is signed by an algorithm that is not accepted here' }
  if (isUnanswered(error)) return { refused: 'the keys of the issuer cannot be read now', unavailable: true }
  return { refused: 'the token is not good' }
}

/** The issuer did not answer, or not with keys. jose has no class of its own for the latter. */
const isUnanswered = (error: unknown): boolean =>
  !(error instanceof errors.JOSEError) ||
  error instanceof errors.JWKSTimeout ||
  error instanceof errors.JWKSInvalid ||
  error.code === errors.JOSEError.code

const SKEW_SECONDS = 30
const CREDENTIAL_CHARS_MAX = 8_192
const GROUPS_MAX = 256
const JWKS_TIMEOUT_MS = 3_000
const JWKS_COOLDOWN_MS = 5_000
const JWKS_AGE_MS_MAX = 600_000
