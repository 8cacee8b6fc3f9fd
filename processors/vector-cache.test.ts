import assert from 'node:assert/strict'
import { test } from 'node:test'
import { vectorCache } from './vector-cache.ts'

test('the least recently used vector is forgotten first, and the bound holds', () => {
  const cache = vectorCache({ bytesMax: 2 * (100 + 256) })
  const vector = Buffer.alloc(100)

  cache.set('a', vector)
  cache.set('b', vector)
  cache.get('a')
  cache.set('c', vector)

  assert.deepEqual(
    ['a', 'b', 'c'].map((hash) => cache.get(hash) !== undefined),
    [true, false, true],
  )
})

test('a cache of no bytes keeps nothing', () => {
  const cache = vectorCache({ bytesMax: 0 })

  cache.set('a', Buffer.alloc(1))

  assert.equal(cache.get('a'), undefined)
})
