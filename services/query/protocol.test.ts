import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { z } from 'zod'
import { clientMessage, faultsIn } from './protocol.ts'

const wide = (fields: number, value: unknown) =>
  Object.fromEntries(Array.from({ length: fields }, (_, i) => [`x${i}`, value]))
const many = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value)
const search = (more: object) => ({ type: 'search', id: '1', query: 'a', ...more })
const publish = (...documents: object[]) => ({ type: 'publish', id: '1', documents })

test('a message that is wrong in very many places is refused at the first few', () => {
  const messages = [
    search({ filter: { $and: many(31, wide(250, null)) } }),
    search({ filter: { $and: many(31, wide(125, { in: many(50, null) })) } }),
    search({ filter: { $or: many(32, { $and: many(32, { $not: 1 }) }) } }),
    search({ filter: { $or: many(32, { $and: many(32, { $or: many(32, { $and: [] }) }) }) } }),
    search({ filter: { $or: many(32, { $and: many(32, { $or: many(32, { $and: [{ $and: [{}] }] }) }) }) } }),
    search({ query: { vector: many(100_000, 'a'), space: 'es' } }),
    publish({ id: 'a', text: 'a', acl: many(100_000, 1) }),
    publish({ id: 'a', text: 'a', attributes: { a: many(100_000, 1) } }),
    publish(...many(31, { id: 'a', text: 'a', attributes: wide(250, null) })),
  ]

  const faults = messages.map((message) => clientMessage.safeParse(message).error!)

  for (const [i, fault] of faults.entries()) {
    const told = countOf(fault.issues)
    assert.ok(told >= 1 && told <= 200, `message ${i}: ${told}`)
    assert.ok(faultsIn(fault, messages[i]).length < 1_000)
  }
})

test('which attribute of a document is wrong is said, and a name that is none is refused', () => {
  const own = JSON.parse('{"__proto__":["a"]}') as object
  const faultOf = (attributes: unknown) => {
    const message = publish({ id: 'a', text: 'a', attributes })
    return faultsIn(clientMessage.safeParse(message).error!, message)
  }

  assert.match(faultOf({ team: 'a', year: null }), /^documents\.0\.attributes\.year: is null; is no text, number/)
  assert.match(faultOf({ teams: ['a', 1] }), /^documents\.0\.attributes\.teams: is \["a",1\]; is no text, number/)
  assert.match(faultOf(own), /is not the name of an attribute/)
  assert.match(faultOf([]), /^documents\.0\.attributes: is \[\]; is no object of attributes/)
  assert.ok(clientMessage.safeParse(publish({ id: 'a', text: 'a', attributes: { a: ['b'], c: 1, d: true } })).success)
})

/** With those of each alternative. */
const countOf = (issues: readonly z.core.$ZodIssue[]): number =>
  issues.reduce(
    (sum, issue) => sum + 1 + ('errors' in issue ? issue.errors.reduce((all, each) => all + countOf(each), 0) : 0),
    0,
  )
