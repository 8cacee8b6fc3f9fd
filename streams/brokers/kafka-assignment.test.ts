import { strict as assert } from 'node:assert'
import { test } from 'node:test'
import { deal, decodeAssignment, encodeSubscription, subscriptionOf } from './kafka-assignment.ts'

const partitions = (count: number) => Array.from({ length: count }, (_, i) => i)

const dealt = (members: Record<string, string[]>, counts: Record<string, number>) =>
  Object.fromEntries(
    deal(
      Object.entries(members).map(([memberId, topics]) => ({ memberId, topics })),
      (topic) => partitions(counts[topic]!),
    ).map(({ memberId, memberAssignment }) => [
      memberId,
      decodeAssignment(memberAssignment).map(({ topic, partition }) => `${topic}${partition}`),
    ]),
  )

test('each partition goes to one member, and no member has more than one beyond another', () => {
  const found = dealt({ m1: ['a', 'b'], m2: ['a', 'b'] }, { a: 3, b: 3 })

  assert.deepEqual(found, { m1: ['a0', 'a2', 'b1'], m2: ['a1', 'b0', 'b2'] })
})

test('a partition goes only to those who want its topic, and a member may get nothing', () => {
  const found = dealt({ m1: ['a'], m2: ['b'], m3: ['b'] }, { a: 1, b: 1 })

  assert.deepEqual(found, { m1: ['a0'], m2: ['b0'], m3: [] })
})

test('the order of the members in the request does not matter', () => {
  const one = dealt({ m1: ['a'], m2: ['a'] }, { a: 4 })
  const other = dealt({ m2: ['a'], m1: ['a'] }, { a: 4 })

  assert.deepEqual(one, other)
})

test('a subscription is read as it was written', () => {
  assert.deepEqual(subscriptionOf(encodeSubscription(['a', 'b'])), ['a', 'b'])
})
