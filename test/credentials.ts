import { createLocalJWKSet, exportJWK, exportSPKI, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { ApiKey } from '../schemas/records.ts'
import { hashOf, newKey } from '../services/api-keys.ts'
import { type Authentication, authentication } from '../services/authentication.ts'
import type { Scope } from '../services/principal.ts'

const AUDIENCE = 'freshet'
const ISSUER = 'https://id.example'

/** Keys and tokens of a test, good and not, and the authentication that the gateway runs, which is to tell them apart. */
export interface Credentials {
  readonly authentication: Authentication
  key(scopes: readonly Scope[], own?: Partial<ApiKey>): string
  token(scopes: readonly Scope[], own?: JWTPayload): Promise<string>
  /** Each would have these scopes if it were good. */
  bad(scopes: readonly Scope[]): Promise<Readonly<Record<string, string>>>
}

export async function openCredentials(): Promise<Credentials> {
  const issuer = await generateKeyPair('ES256', { extractable: true })
  const rsa = await generateKeyPair('RS256', { extractable: true })
  const foreign = await generateKeyPair('ES256')
  const keys = new Map<string, ApiKey>()
  const published = [
    { ...(await exportJWK(issuer.publicKey)), kid: 'one' },
    { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
  ]
  const publicKey = new TextEncoder().encode(await exportSPKI(issuer.publicKey))
  const jwt = { issuer: ISSUER, audience: AUDIENCE, jwksUrl: ISSUER, algorithms: ['ES256'], tenantClaim: 'tenant' }

  const key = (scopes: readonly Scope[], own: Partial<ApiKey> = {}): string => {
    const { id, secret, text } = newKey()
    keys.set(id, { ...keyOf(scopes), sha256: hashOf(secret), ...own })
    return text
  }
  const claims = (scopes: readonly Scope[], own: JWTPayload): JWTPayload => {
    const exp = Math.floor(Date.now() / 1_000) + 600
    return { iss: ISSUER, aud: AUDIENCE, sub: 'ada', tenant: 'acme', scope: scopes.join(' '), exp, ...own }
  }
  const signed = (payload: JWTPayload, by: Parameters<SignJWT['sign']>[0], alg = 'ES256', kid = 'one') =>
    new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(by)
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

  return {
    authentication: authentication({
      key: (id) => keys.get(id),
      jwt,
      now: Date.now,
      jwks: createLocalJWKSet({ keys: published }),
    }),
    key,
    token: (scopes, own = {}) => signed(claims(scopes, own), issuer.privateKey),
    async bad(scopes) {
      const good = claims(scopes, {})
      const token = await signed(good, issuer.privateKey)
      const [head, , mac] = token.split('.')
      return {
        'a key that nobody has': newKey().text,
        'a key with a wrong secret': `${key(scopes).slice(0, 16)}_${newKey().secret}`,
        'half a key': key(scopes).slice(0, 40),
        'a revoked key': key(scopes, { revokedAt: 1 }),
        'an expired key': key(scopes, { expiresAt: 1 }),
        'an expired JWT': await signed({ ...good, exp: 1_700_000_000 }, issuer.privateKey),
        'a JWT for others': await signed({ ...good, aud: 'others' }, issuer.privateKey),
        'a JWT of others': await signed({ ...good, iss: 'https://evil.example' }, issuer.privateKey),
        'a JWT of no tenant': await signed({ ...good, tenant: '../acme' }, issuer.privateKey),
        'a JWT that does not expire': await signed({ ...good, exp: undefined } as JWTPayload, issuer.privateKey),
        'a JWT signed by another key': await signed(good, foreign.privateKey),
        'a JWT with an algorithm that is not listed': await signed(good, rsa.privateKey, 'RS256', 'rsa'),
        'a JWT signed with the public key as if it were a secret': await signed(good, publicKey, 'HS256'),
        'a JWT without a signature': `${part({ alg: 'none' })}.${part(good)}.`,
        'a JWT that was written over': `${head}.${part({ ...good, tenant: 'zenith' })}.${mac}`,
        nothing: '',
        nonsense: 'not.a.token',
      }
    },
  }
}

const keyOf = (scopes: readonly Scope[]): ApiKey => ({
  sha256: '',
  name: 'of a test',
  tenant: 'acme',
  scopes: [...scopes],
  groups: ['*'],
  createdAt: 0,
  by: 'a test',
  expiresAt: null,
  revokedAt: null,
  requestsPerSecond: null,
  embeddedTokensPerMinute: null,
  generatedTokensPerMinute: null,
})
