import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control } from '../../schemas/records.ts'
import { verdictOn } from './configured-space.ts'

const configured = { model: 'old', version: '1', space: { id: 'es_aa', dimensions: 3 } }
const nothing = { serving: null, space: null, collection: null } as unknown as Control
const decided = (records: Record<string, Partial<Control>>) =>
  new Map(Object.entries(records).map(([key, value]) => [key, { ...nothing, ...value }]))
const modelOf = (model: string, since = 0) => ({ space: { model, version: '1', dimensions: 3, since } })
const servesYoung = { serving: { space: 'es_bb', collection: 'es_bb', since: null, canary: null } }

test('a platform begins with the space of the configured model', () => {
  assert.deepEqual(verdictOn(decided({}), '', configured, []), { do: 'begin' })
})

test('a platform from before spaces were written down goes on with the space that it has', () => {
  assert.deepEqual(verdictOn(decided({}), '', configured, ['es_aa', 'es_bb']), { do: 'begin' })
})

test('a worker of another model than the one that answers says which two they are, how to go over, and how to stay', () => {
  const known = decided({ serving: servesYoung, 'spaces/es_bb': modelOf('young') })

  const verdict = verdictOn(known, '', configured, ['es_bb'])

  assert.equal(verdict.do, 'refuse')
  const { why } = verdict as { why: string }
  for (const said of ['old@1', 'es_aa', 'young@1', 'es_bb', 'freshet models rollout old@1', 'FRESHET_MODEL to young@1'])
    assert.ok(why.includes(said), `${said} is not in: ${why}`)
})

test('another model is refused too where only a topic tells which space the platform has', () => {
  assert.equal(verdictOn(decided({}), '', configured, ['es_bb']).do, 'refuse')
  assert.equal(verdictOn(decided({ 'spaces/es_bb': modelOf('young') }), '', configured, []).do, 'refuse')
})

test('whose model was rolled out before, or is kept, goes on, and the space that answers is another', () => {
  const known = decided({
    serving: servesYoung,
    'spaces/es_bb': modelOf('young', 2),
    'spaces/es_aa': modelOf('old', 1),
  })

  assert.deepEqual(verdictOn(known, '', configured, ['es_aa', 'es_bb']), { do: 'go on', serving: 'es_bb' })
})
