import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { before, test } from 'node:test'
import { createLocalJWKSet, exportJWK, generateKeyPair, type JWTPayload, SignJWT } from 'jose'
import type { ApiKey } from '../schemas/records.ts'
import { hashOf, newKey, parseKey } from './api-keys.ts'
import { type Authentication, authentication, credentialIn } from './authentication.ts'

const NOW = 1_800_000_000_000
const seconds = NOW / 1_000
const key = newKey()
const record: ApiKey = {
  sha256: hashOf(key.secret),
  name: 'ada',
  tenant: 'acme',
  scopes: ['search', 'unheard-of'],
  groups: ['hr'],
  createdAt: 0,
  by: 'ada@host',
  expiresAt: null,
  revokedAt: null,
  requestsPerSecond: 7,
  embeddedTokensPerMinute: null,
  generatedTokensPerMinute: null,
}
const jwt = {
  issuer: 'https://id.example',
  audience: 'freshet',
  jwksUrl: 'https://id.example/jwks',
  algorithms: ['ES256'],
  tenantClaim: 'tenant',
}

type Pair = Awaited<ReturnType<typeof generateKeyPair>>
let good: Pair
let foreign: Pair
let rsa: Pair
let jwks: ReturnType<typeof createLocalJWKSet>
before(async () => {
  good = await generateKeyPair('ES256')
  foreign = await generateKeyPair('ES256')
  rsa = await generateKeyPair('RS256')
  const keys = [
    { ...(await exportJWK(good.publicKey)), kid: 'good' },
    { ...(await exportJWK(rsa.publicKey)), kid: 'rsa' },
  ]
  jwks = createLocalJWKSet({ keys })
})

const withKeys = (apiKey: ApiKey | undefined): Authentication =>
  authentication({ key: (id) => (id === key.id ? apiKey : undefined), jwt, now: () => NOW, jwks })

const claims: JWTPayload = {
  iss: jwt.issuer,
  aud: jwt.audience,
  sub: 'ada',
  tenant: 'acme',
  scope: 'search publish',
  groups: ['hr'],
  exp: seconds + 60,
}
const signed = (payload: JWTPayload, pair: Pair = good, kid = 'good', alg = 'ES256'): Promise<string> =>
  new SignJWT(payload).setProtectedHeader({ alg, kid }).sign(pair.privateKey)

test('the holder of an API key is who the record says, with the scopes that exist', async () => {
  const principal = await withKeys(record).identify(key.text)

  assert.deepEqual(principal, {
    tenant: 'acme',
    subject: `key:${key.id}`,
    scopes: ['search'],
    groups: ['hr'],
    expiresAt: null,
    limits: { requestsPerSecond: 7, embeddedTokensPerMinute: null, generatedTokensPerMinute: null },
  })
})

test('an API key that is unknown, wrong, revoked or expired is refused, and the answer holds no secret', async () => {
  const wrong = `fk_${key.id}_${newKey().secret}`
  const cases: readonly [string, ApiKey | undefined, RegExp][] = [
    [key.text, undefined, /not known/],
    [wrong, record, /not known/],
    [newKey().text, record, /not known/],
    [key.text, { ...record, revokedAt: NOW - 1 }, /revoked/],
    [key.text, { ...record, expiresAt: NOW }, /expired/],
    [`fk_${key.id}_short`, record, /not complete/],
  ]

  for (const [credential, apiKey, why] of cases) {
    const answer = await withKeys(apiKey).identify(credential)
    assert.match('refused' in answer ? answer.refused : 'a principal', why)
    assert.ok(!JSON.stringify(answer).includes(key.secret))
  }
})

test('a JWT of the issuer names tenant, scopes and groups, and how long it is good', async () => {
  const principal = await withKeys(record).identify(await signed(claims))

  assert.deepEqual(principal, {
    tenant: 'acme',
    subject: 'jwt:ada',
    scopes: ['search', 'publish'],
    groups: ['hr'],
    expiresAt: NOW + 90_000,
    limits: { requestsPerSecond: null, embeddedTokensPerMinute: null, generatedTokensPerMinute: null },
  })
})

test('a JWT is refused that is expired, for others, of others, without a tenant, or signed by what is not allowed', async () => {
  const { sub: _sub, ...nobody } = claims
  const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.`
  const tampered = (await signed(claims)).replace(
    /\.[^.]+\./,
    `.${Buffer.from(JSON.stringify({ ...claims, tenant: 'b' })).toString('base64url')}.`,
  )
  const cases: readonly [string, RegExp][] = [
    [await signed({ ...claims, exp: seconds - 31 }), /expired/],
    [await signed({ ...claims, nbf: seconds + 60 }), /nbf/],
    [await signed({ ...claims, aud: 'another' }), /aud/],
    [await signed({ ...claims, iss: 'https://evil.example' }), /iss/],
    [await signed(nobody), /sub/],
    [await signed({ ...claims, tenant: '../acme' }), /names no tenant/],
    [await signed({ ...claims, tenant: ['acme'] }), /names no tenant/],
    [await signed(claims, foreign), /not good/],
    [await signed(claims, foreign, 'unknown'), /not good/],
    [await signed(claims, rsa, 'rsa', 'RS256'), /algorithm/],
    [unsigned, /./],
    [tampered, /not good/],
    ['not.a.token', /not good/],
    ['', /not good/],
  ]

  for (const [token, why] of cases) {
    const answer = await withKeys(record).identify(token)
    assert.match('refused' in answer ? answer.refused : 'a principal', why)
  }
})

test('whoever cannot be checked now is told so, which is not to say that the credential is wrong', async () => {
  const unheard = authentication({ key: () => record, keysUnheard: () => true, jwt, now: () => NOW, jwks })
  const server = createServer((_request, response) => response.writeHead(500).end()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const jwksUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`
  const silent = authentication({ key: () => record, jwt: { ...jwt, jwksUrl }, now: () => NOW })

  const answers = [
    await unheard.identify(key.text),
    await silent.identify(await signed(claims)),
    await unheard.identify(await signed(claims)),
  ]
  server.close()

  assert.deepEqual(answers[0], { refused: 'API keys cannot be checked now', unavailable: true })
  assert.deepEqual(answers[1], { refused: 'the keys of the issuer cannot be read now', unavailable: true })
  assert.ok(!('refused' in answers[2]!), 'JWTs need no Kafka')
})

test('where no issuer is configured, no JWT is good', async () => {
  const keysOnly = authentication({ key: () => record, jwt: null, now: () => NOW })

  assert.ok('refused' in (await keysOnly.identify(await signed(claims))))
})

test('the credential is taken from one header, and from nowhere else', () => {
  assert.equal(credentialIn({ authorization: 'Bearer abc' }), 'abc')
  assert.equal(credentialIn({ 'x-api-key': key.text }), key.text)
  assert.equal(credentialIn({ cookie: 'token=abc' }), null)
  for (const headers of [
    { authorization: 'Basic abc' },
    { authorization: 'Bearer' },
    { authorization: 'Bearer a b' },
    { authorization: 'Bearer abc', 'x-api-key': key.text },
  ])
    assert.ok(typeof credentialIn(headers) === 'object', JSON.stringify(headers))
})

test('keys are new each time, and can be taken apart', () => {
  const { text, id, secret } = newKey()

  assert.deepEqual(parseKey(text), { id, secret })
  assert.notEqual(newKey().id, id)
  assert.equal(parseKey(`${text}x`), null)
})
