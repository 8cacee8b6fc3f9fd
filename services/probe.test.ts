import assert from 'node:assert/strict'
import { test } from 'node:test'
import { asInstruction } from '../streams/brokers/kafka-errors.ts'
import { States } from '../streams/states.ts'
import { until } from '../test/until.ts'
import { probe } from './probe.ts'

test('a part of the world that does not answer is a state until it answers, and no other state is told in its name', async () => {
  const states = new States(Date.now)
  let refusal: Error | null = null
  const refused = Object.assign(new Error('not the leader'), { type: 'NOT_LEADER_FOR_PARTITION' })
  const ask = async () => {
    if (refusal !== null) throw refusal
  }
  const close = probe(states, { state: 'kafka-unreachable', subject: 'worker', ask }, 1)
  const other = probe(states, { state: 'source-recreated', subject: 'documents', ask }, 1)
  const names = () => states.present().map(({ name, subject }) => `${name} of ${subject}`)

  refusal = asInstruction(new Error('connect ECONNREFUSED'), 'listing topics')
  await until('it is noticed', () => names().length > 0)
  const during = names()
  refusal = null
  await until('it is over', () => names().length === 0)
  await Promise.all([close(), other()])

  assert.deepEqual(during, ['kafka-unreachable of worker'])
  assert.equal((asInstruction(refused, 'x') as { state?: unknown }).state, null, 'a broker that refuses does answer')
})
