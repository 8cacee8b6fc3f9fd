import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isOwn, type Reader, visibilityOf } from './visibility.ts'

test('a reader is shown the groups that it is in, and one in every group all of its tenant', () => {
  assert.deepEqual(visibilityOf({ tenant: 'acme', groups: ['hr', 'hr'] }), { tenant: 'acme', groups: ['hr'] })
  assert.deepEqual(visibilityOf({ tenant: 'acme', groups: [] }), { tenant: 'acme', groups: [] })
  assert.deepEqual(visibilityOf({ tenant: 'acme', groups: ['hr', '*'] }), { tenant: 'acme', groups: null })
})

test('whoever does not say plainly whose documents are meant is shown nothing', () => {
  const readers: unknown[] = [
    undefined,
    null,
    {},
    { tenant: '', groups: [] },
    { tenant: '*', groups: [] },
    { tenant: 'acme/x', groups: [] },
    { tenant: ['acme'], groups: [] },
    { tenant: 'acme' },
    { tenant: 'acme', groups: '*' },
    { tenant: 'acme', groups: [''] },
    { tenant: 'acme', groups: [null] },
  ]

  for (const reader of readers) assert.throws(() => visibilityOf(reader as Reader), /a read without a/)
})

test('a key belongs to the tenant before its first slash, and to no other', () => {
  const of = visibilityOf({ tenant: 'acme', groups: [] })

  const own = ['acme/a', 'acme/../zenith/a', 'acme2/a', 'zenith/a', 'acme', '/acme/a'].filter((key) => isOwn(of, key))

  assert.deepEqual(own, ['acme/a', 'acme/../zenith/a'])
})
