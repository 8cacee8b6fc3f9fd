import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isAdmittedPage, noOwnLimits, type Principal, signPage, signPrincipal, verifyPrincipal } from './principal.ts'

const now = 1_000_000
const ada: Principal = {
  tenant: 'acme',
  subject: 'key:7f3a',
  scopes: ['search'],
  groups: ['hr'],
  expiresAt: now + 10_000,
  limits: noOwnLimits,
}

test('a service knows the principal that the gateway signed, also with a secret that is being replaced', () => {
  const header = signPrincipal(ada, 'new', now)

  assert.deepEqual(verifyPrincipal(header, ['old', 'new'], now), ada)
})

test('what nobody signed, what was signed for another moment, and whose principal has expired, is nobody', () => {
  const header = signPrincipal(ada, 'secret', now)
  const lasting = signPrincipal({ ...ada, expiresAt: null }, 'secret', now)
  const other = Buffer.from(JSON.stringify({ ...ada, tenant: 'other' })).toString('base64url')
  const [version, , until, mac] = header.split('.')

  assert.notEqual(verifyPrincipal(lasting, ['secret'], now + 29_000), null)
  const refused: readonly [string | string[] | undefined, string[], number][] = [
    [undefined, ['secret'], now],
    ['', ['secret'], now],
    [[header, header], ['secret'], now],
    [header, [], now],
    [header, ['another'], now],
    [`${version}.${other}.${until}.${mac}`, ['secret'], now],
    [`${version}.${header.split('.')[1]}.${Number(until) + 1}.${mac}`, ['secret'], now],
    [`${header}.x`, ['secret'], now],
    [header, ['secret'], now + 11_000],
    [lasting, ['secret'], now + 31_000],
    [signPrincipal({ ...ada, tenant: '' }, 'secret', now), ['secret'], now],
    [signPrincipal({ ...ada, tenant: '../x' }, 'secret', now), ['secret'], now],
  ]
  for (const [given, secrets, at] of refused) assert.equal(verifyPrincipal(given, secrets, at), null)
})

test('a page is admitted for a moment, as the gateway signed it, and is no principal', () => {
  const origin = 'https://app.example'
  const [other, signed] = [signPage(origin, 'another secret', 0), signPage(origin, 'a secret', 0)]
  const admitted = (header: string | undefined, from: string | undefined, now = 1) =>
    isAdmittedPage(header, from, ['a secret', 'an older one'], now)

  const own = [admitted(signed, origin), admitted(signPage(origin, 'an older one', 0), origin)]
  const not = [
    admitted(signed, 'https://evil.example'),
    admitted(signed, undefined),
    admitted(undefined, origin),
    admitted(signed, origin, 30_001),
    admitted(other, origin),
    admitted(`${signed}.a`, origin),
    admitted(signed.replace(/^page/, 'v1'), origin),
    admitted(signPrincipal(ada, 'a secret', 0), origin),
  ]

  assert.deepEqual(own, [true, true])
  assert.deepEqual(not, Array(8).fill(false))
  assert.equal(verifyPrincipal(signed, ['a secret'], 1), null)
})
