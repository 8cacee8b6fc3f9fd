import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Upstreams } from './upstreams.ts'

const origins = ['http://a', 'http://b', 'http://c']

/** Numbers from 0 to below 1, always the same. */
function seeded(): () => number {
  let state = 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

test('of two instances that are drawn the one with less under way is asked', () => {
  const upstreams = new Upstreams('query', origins)
  const random = seeded()
  const asked = new Map<string, number>()
  for (let i = 0; i < 30; i++) upstreams.began('http://a', 0)

  for (let i = 0; i < 300; i++) {
    const origin = upstreams.pick(0, random)!
    asked.set(origin, (asked.get(origin) ?? 0) + 1)
    upstreams.began(origin, 0)
  }

  const spread = upstreams.instances.map(({ inFlight }) => inFlight)
  assert.ok(Math.max(...spread) - Math.min(...spread) <= 6, `under way: ${spread}`)
  assert.ok(asked.get('http://a')! < asked.get('http://b')!)
})

test('an instance that fails five times in a row is left alone for a while, and then asked once', () => {
  const upstreams = new Upstreams('query', ['http://a'])
  const fail = (now: number) => {
    upstreams.began('http://a', now)
    upstreams.ended('http://a', true, now)
  }
  for (let i = 0; i < 5; i++) fail(0)

  const during = upstreams.pick(999, seeded())
  const after = upstreams.pick(1_000, seeded())
  upstreams.began('http://a', 1_000)
  const beside = upstreams.pick(1_000, seeded())
  upstreams.ended('http://a', true, 1_000)
  const second = upstreams.pick(2_999, seeded())
  upstreams.began('http://a', 3_000)
  upstreams.ended('http://a', false, 3_000)

  assert.deepEqual([during, after, beside, second], [null, 'http://a', null, null])
  assert.equal(upstreams.pick(3_000, seeded()), 'http://a')
  assert.equal(upstreams.instances[0]!.inFlight, 0)
})

test('an instance that does not answer its health check is not asked, and one that was tried only if there is no other', () => {
  const upstreams = new Upstreams('query', ['http://a', 'http://b'])
  const tried = new Set(['http://b'])
  const often = (set?: Set<string>) => new Set(Array.from({ length: 50 }, () => upstreams.pick(0, Math.random, set)))

  const untried = often(tried)
  upstreams.checked('http://a', false)
  const only = often(tried)
  upstreams.checked('http://b', false)

  assert.deepEqual([[...untried], [...only]], [['http://a'], ['http://b']])
  assert.equal(upstreams.pick(0, Math.random), null)
  assert.ok(upstreams.retryAfterMs(0) > 0)
})
