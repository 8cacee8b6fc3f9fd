import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Canary, CollectionState, Control } from '../schemas/records.ts'
import { placeFor, rolesIn, servingIn, spacesKeptIn, standsFor, tellsRejections } from './collections.ts'

const nothing = Object.fromEntries(
  ['serving', 'space', 'topic', 'deadLetter', 'collection', 'apiKey', 'tenant', 'source'].map((name) => [name, null]),
) as unknown as Control
const control = (records: Record<string, Partial<Control>>) =>
  new Map(Object.entries(records).map(([key, value]) => [key, { ...nothing, ...value }]))
const following = (space: string, more: Partial<CollectionState> = {}): Partial<Control> => ({
  collection: { space, state: 'following', since: 0, behind: null, asOf: null, ...more },
})
const old = { prefix: 'p.', space: 'es_aa' }
const young = { prefix: 'p.', space: 'es_bb' }
const servesOld = { serving: { space: 'es_aa', collection: 'p.es_aa', since: null, canary: null } }

test('a collection of another space is kept beside the one that serves, and does not serve', () => {
  const decided = control({ serving: servesOld, 'collections/p.es_bb': following('es_bb', { state: 'filling' }) })

  const [beside] = rolesIn(decided, young).values()

  assert.deepEqual(beside, { collection: 'p.es_bb', serving: false, behind: null, filling: true })
  assert.deepEqual([...rolesIn(decided, old).keys()], ['p.es_aa'])
  assert.deepEqual([...spacesKeptIn(decided, young)], ['es_aa', 'es_bb'])
})

test('the collection that serves stays behind one of another space for as long as that is kept', () => {
  const behind = { 'collections/p.es_aa': following('es_aa', { behind: 'p.es_bb' }), serving: servesOld }

  const kept = rolesIn(control({ ...behind, 'collections/p.es_bb': following('es_bb', { state: 'verified' }) }), old)
  const removed = rolesIn(control({ ...behind, 'collections/p.es_bb': following('es_bb', { state: 'retiring' }) }), old)

  assert.equal(kept.get('p.es_aa')!.behind, 'p.es_bb')
  assert.equal(removed.get('p.es_aa')!.behind, null)
})

test('as long as nothing was decided, the space answers that the platform began with', () => {
  const model = (since: number) => ({ space: { model: 'm', version: '1', dimensions: 3, since } })

  const decided = control({ 'spaces/es_bb': model(20), 'spaces/es_aa': model(10) })

  assert.deepEqual(servingIn(decided, young), { space: 'es_aa', collection: 'p.es_aa' })
  assert.deepEqual(servingIn(control({}), young), { space: 'es_bb', collection: 'p.es_bb' })
})

test('a space that is only on its way does not tell what it rejects; one that is handed over to does, and so does the former one', () => {
  const told = (states: Record<string, Partial<Control>>, of = young) =>
    tellsRejections(control({ serving: servesOld, ...states }), of)
  const onItsWay = { 'collections/p.es_bb': following('es_bb', { state: 'verified' as const }) }
  const servesYoung = { serving: { space: 'es_bb', collection: 'p.es_bb', since: null, canary: null } }

  assert.equal(told(onItsWay), false)
  assert.equal(told(onItsWay, old), true)
  assert.equal(told({ ...onItsWay, 'collections/p.es_aa': following('es_aa', { behind: 'p.es_bb' }) }), true)
  assert.equal(told({ ...onItsWay, serving: servesYoung, 'collections/p.es_aa': following('es_aa') }, old), true)
  assert.equal(told({ ...onItsWay, serving: servesYoung, 'collections/p.es_aa': following('es_aa') }), true)
})

test('the collection that answers stands for its space, and of another space the last that was begun', () => {
  const decided = control({
    serving: servesOld,
    'collections/p.es_bb.g10': following('es_bb', { state: 'filling' }),
    'collections/p.es_bb.g9': following('es_bb'),
    'collections/p.es_aa.g2': following('es_aa', { state: 'filling' }),
  })

  assert.equal(standsFor(decided, old), 'p.es_aa')
  assert.equal(standsFor(decided, young), 'p.es_bb.g10')
})

const canaryOf = (more: Partial<Canary>) => {
  const canary = { space: 'es_bb', collection: 'p.es_bb', percent: 0, by: 'tenant', tenants: [], since: 0, ...more }
  return control({ serving: { serving: { space: 'es_aa', collection: 'p.es_aa', since: null, canary } } })
}
const askers = Array.from({ length: 2_000 }, (_, i) => ({ tenant: `t${i % 1_000}`, subject: `s${i}` }))
const inCanary = (decided: ReturnType<typeof control>) =>
  askers.filter((asker) => placeFor(decided, old, asker).space === 'es_bb')

test('a canary answers its share of tenants, all that a tenant asks, and the same ones as it grows', () => {
  const few = inCanary(canaryOf({ percent: 5 }))
  const more = inCanary(canaryOf({ percent: 20 }))

  const tenants = new Set(few.map(({ tenant }) => tenant))
  assert.ok(tenants.size > 25 && tenants.size < 80, `${tenants.size} of 1,000`)
  assert.equal(few.length, 2 * tenants.size)
  assert.ok(few.every((asker) => more.includes(asker)))
  assert.equal(inCanary(canaryOf({ percent: 100 })).length, askers.length)
})

test('a canary by subject splits a tenant, and named tenants are in it whole', () => {
  const named = inCanary(canaryOf({ tenants: ['t7'] }))
  const bySubject = inCanary(canaryOf({ by: 'subject', percent: 50 }))

  assert.deepEqual(
    named.map(({ tenant }) => tenant),
    ['t7', 't7'],
  )
  const counts = Map.groupBy(bySubject, ({ tenant }) => tenant)
  assert.ok([...counts.values()].some(({ length }) => length === 1))
})
