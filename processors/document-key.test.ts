import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { Reject } from '../streams/errors.ts'
import { checkKey, keyBytesMax } from './document-key.ts'

function rejection(key: Buffer | string | null): string {
  try {
    checkKey(key)
  } catch (error) {
    assert.ok(error instanceof Reject, `not a rejection: ${error}`)
    return error.message
  }
  assert.fail('it was accepted')
}

test('a key is a tenant, a slash and an id that may hold anything that can be read', () => {
  assert.deepEqual(checkKey('acme/docs/a b.md'), { tenant: 'acme', id: 'docs/a b.md' })
  assert.deepEqual(checkKey(Buffer.from('0_x-y/Ünï/😀')), { tenant: '0_x-y', id: 'Ünï/😀' })
})

test('a key that no document can have is rejected with its value and the fix', () => {
  assert.equal(rejection(null), 'key: is null; the key must be tenant/id in UTF-8, like acme/handbook-7')
  assert.match(rejection('acme'), /^key: has no slash \("acme"\); the key must be/)
  assert.match(rejection('acme/'), /^key: the id is empty \("acme\/"\)/)
  assert.match(rejection('/a'), /^key: tenant "" must be 1 to 63/)
  assert.match(rejection('Acme/a'), /^key: tenant "Acme" must be/)
  assert.match(rejection(`${'a'.repeat(64)}/a`), /^key: tenant "a{60}…" must be/)
  assert.match(rejection('~/0'), /^key: tenant "~" is reserved/)
  assert.match(rejection('acme/a\nb'), /^key: the id has control characters \("a\\nb"\); remove them$/)
  assert.match(rejection('acme/\ud83d'), /^key: is not valid UTF-8 \("acme\/\\ud83d"\)/)
  assert.match(rejection(Buffer.from([0x61, 0x2f, 0xff])), /^key: is not valid UTF-8 \("a\/ÿ"\)/)
  assert.match(rejection(Buffer.from('"acme/a"')), /^key: tenant "\\"acme" must be/)
})

test('a key has at most 512 bytes, counted in UTF-8', () => {
  const id = 'é'.repeat(254)

  assert.equal(checkKey(`acm/${id}`).id, id)
  assert.match(rejection(`acme/${id}`), /^key: has 513 bytes \("acme\/é{55}…"\), more than 512; use a shorter id$/)
  assert.equal(keyBytesMax, 512)
})

test('bytes and text give the same answer, and whatever is accepted can be put together again', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 20 }),
        fc.string({ unit: 'binary' }).map((id) => Buffer.from(`acme/${id}`)),
      ),
      (bytes) => {
        const key = Buffer.from(bytes)
        let checked: ReturnType<typeof checkKey>
        try {
          checked = checkKey(key)
        } catch (error) {
          assert.ok(error instanceof Reject)
          return
        }

        assert.deepEqual(Buffer.from(`${checked.tenant}/${checked.id}`), key)
        assert.deepEqual(checkKey(key.toString()), checked)
      },
    ),
    { numRuns: 1000 },
  )
})
