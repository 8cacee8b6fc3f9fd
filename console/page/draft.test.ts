import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DocumentOutcome } from '../../client/client.ts'
import { type Draft, draftOf, EMPTY, itemOf, type Own, published } from './draft.ts'

const salaries: Draft = {
  id: 'salaries',
  title: 'Salaries',
  text: 'What all earn.',
  attributes: 'year=2024',
  groups: 'board, hr',
}
const became = (outcome: DocumentOutcome['outcome'], offset: number): DocumentOutcome => ({
  partition: 0,
  offset,
  outcome,
  reason: null,
})
const nobody: Own = new Map()
const hit = (revision: string) => ({ documentId: 'salaries', revision })

test('a draft is published with its groups, and without any it is for everyone of the tenant', () => {
  assert.deepEqual(itemOf(salaries), {
    value: {
      id: 'salaries',
      title: 'Salaries',
      text: 'What all earn.',
      attributes: { year: 2024 },
      acl: ['board', 'hr'],
    },
  })
  assert.deepEqual(itemOf({ ...EMPTY, id: ' a ', text: 'b', groups: ' , ' }), { value: { id: 'a', text: 'b' } })
  assert.deepEqual(itemOf({ ...salaries, attributes: 'year' }), { fault: 'Attributes: “year” is not name=value' })
})

test('what this tab has published is edited with all that it has, its groups too', () => {
  const own = published(nobody, salaries, became('indexed', 7))

  const draft = draftOf(hit('1:7'), own)

  assert.deepEqual(draft, salaries)
  assert.deepEqual(itemOf(draft!), itemOf(salaries))
})

test('what somebody else has published, or replaced since, cannot be edited: nobody here knows its groups', () => {
  const own = published(nobody, salaries, became('indexed', 7))

  assert.equal(draftOf(hit('1:7'), nobody), null)
  assert.equal(draftOf(hit('1:8'), own), null)
  assert.deepEqual(draftOf(hit('1:3'), published(own, salaries, became('unchanged', 9))), salaries)
})

test('what was rejected, overtaken or deleted is not what is there', () => {
  const own = published(nobody, salaries, became('indexed', 7))

  for (const outcome of ['rejected', 'superseded', 'deleted'] as const)
    assert.equal(draftOf(hit('1:7'), published(own, salaries, became(outcome, 8))), null, outcome)
})
