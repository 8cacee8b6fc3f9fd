import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routedVersion } from './traffic.ts'

const tenants = Array.from({ length: 2_000 }, (_, i) => `tenant-${i}`)
const split = (canary: number) => ({
  routes: [
    { version: 2, percent: canary },
    { version: 1, percent: 100 - canary },
  ],
})

test('a caller goes the same way each time, and the shares are kept', () => {
  const once = tenants.map((tenant) => routedVersion(split(5), tenant))
  const again = tenants.map((tenant) => routedVersion(split(5), tenant))

  assert.deepEqual(again, once)
  const canary = once.filter((version) => version === 2).length
  assert.ok(canary > 60 && canary < 140, `${canary} of 2,000`)
})

test('a larger share keeps whom it had', () => {
  const before = tenants.filter((tenant) => routedVersion(split(5), tenant) === 2)

  assert.ok(before.every((tenant) => routedVersion(split(20), tenant) === 2))
  assert.ok(before.length > 0)
})
