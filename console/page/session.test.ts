import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KEY, takeKey } from './session.ts'

function tab(kept: string | null = null) {
  const store = new Map(kept === null ? [] : [[KEY, kept]])
  let cleared = 0
  const take = (hash: string) =>
    takeKey(
      hash,
      { getItem: (name) => store.get(name) ?? null, setItem: (name, value) => void store.set(name, value) },
      () => cleared++,
    )
  return { take, store, cleared: () => cleared }
}

test('the key of the link is kept for this tab and leaves the address', () => {
  const { take, store, cleared } = tab('fk_old')

  const key = take('#key=fk_a_b')

  assert.deepEqual([key, store.get(KEY), cleared()], ['fk_a_b', 'fk_a_b', 1])
})

test('a tab that is loaded again has its key, and another one has none', () => {
  assert.equal(tab('fk_a_b').take(''), 'fk_a_b')
  assert.equal(tab('fk_a_b').take('#key='), 'fk_a_b')
  assert.equal(tab().take('#document'), null)
})
