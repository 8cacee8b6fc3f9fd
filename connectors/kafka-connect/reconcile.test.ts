import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeclaredConnector } from './declared.ts'
import { type ActualConnector, planOf } from './reconcile.ts'

const declared = (name: string, config: Record<string, string>, state: DeclaredConnector['state'] = null) => ({
  name,
  file: `${name}.yaml`,
  state,
  config: { 'connector.class': 'X', ...config },
})
const actual = (name: string, config: Record<string, string>, state: ActualConnector['state'] = 'running') => ({
  name,
  state,
  config: { 'connector.class': 'X', name, ...config },
})

test('what is as declared needs nothing', () => {
  const plan = planOf([declared('a', { x: '1' })], [actual('a', { x: '1' })])

  assert.deepEqual(plan, { steps: [], unchanged: ['a'], undeclared: [] })
})

test('what differs is created or changed, setting by setting', () => {
  const plan = planOf([declared('a', { x: '2', y: '1' }), declared('b', {})], [actual('a', { x: '1', z: '1' })])

  assert.deepEqual(
    plan.steps.map((step) => [step.kind, 'changes' in step ? step.changes : null]),
    [
      [
        'update',
        [
          { setting: 'x', from: '1', to: '2' },
          { setting: 'y', from: null, to: '1' },
          { setting: 'z', from: '1', to: null },
        ],
      ],
      ['create', [{ setting: 'connector.class', from: null, to: 'X' }]],
    ],
  )
})

test('a state is changed only where one is declared', () => {
  const plan = planOf([declared('a', {}, 'paused'), declared('b', {})], [actual('a', {}), actual('b', {}, 'stopped')])

  assert.deepEqual(plan.steps, [{ kind: 'state', name: 'a', from: 'running', to: 'paused' }])
})

test('what no file declares is deleted only when that is asked for', () => {
  const left = planOf([], [actual('old', {})])
  const pruned = planOf([], [actual('old', {})], { prune: true })

  assert.deepEqual([left.steps, left.undeclared], [[], ['old']])
  assert.deepEqual(pruned.steps, [{ kind: 'delete', name: 'old' }])
})

test('a secret that somebody wrote into Connect by hand is in no plan', () => {
  const reference = '\u0024{env:CONNECT_PG}'
  const plan = planOf(
    [declared('a', { 'database.password': reference, url: 'jdbc:postgresql://h/db?user=u' })],
    [actual('a', { 'database.password': 'hunter2', url: 'jdbc:postgresql://u:hunter2@h/db?password=hunter2' })],
  )

  const [step] = plan.steps

  assert.doesNotMatch(JSON.stringify(plan), /hunter2/)
  assert.deepEqual(step && 'changes' in step && step.changes[0], {
    setting: 'database.password',
    from: '(hidden)',
    to: reference,
  })
})
