import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { declaredBy, declaredIn } from './declared.ts'

test('a file is a connector called after it, whose settings are text', () => {
  const { connector, faults } = declaredBy(
    'a/notes.yaml',
    'config:\n  connector.class: X\n  tasks.max: 1\n  lossy: false\n',
  )

  assert.deepEqual(faults, [])
  assert.deepEqual(connector, {
    name: 'notes',
    file: 'a/notes.yaml',
    state: null,
    config: { 'connector.class': 'X', 'tasks.max': '1', lossy: 'false' },
  })
})

test('JSON is read as YAML is', () => {
  const { connector } = declaredBy('a.json', '{"name": "b", "state": "paused", "config": {"connector.class": "X"}}')

  assert.deepEqual([connector?.name, connector?.state], ['b', 'paused'])
})

test('every fault of a file is told with its line and setting', () => {
  const faultsOf = (text: string) => declaredBy('f.yaml', text).faults

  assert.deepEqual(faultsOf('config:\n  tasks.max: 1\n'), [
    'f.yaml:1: config.connector.class: is missing; name the class of a connector that Connect has',
  ])
  assert.match(faultsOf('config:\n  connector.class: X\n  list: [1]\n')[0]!, /^f\.yaml:3: config\.list: must be text/)
  assert.match(faultsOf('state: asleep\nconfig:\n  connector.class: X\n')[0]!, /^f\.yaml:1: state: .*running/)
  assert.match(faultsOf('config:\n  a: 1\n  a: 2\n')[0]!, /^f\.yaml:3: .*unique/)
  assert.match(faultsOf('config: {\n')[0]!, /^f\.yaml:\d: /)
  assert.match(faultsOf('- 1\n')[0]!, /^f\.yaml:1: file: /)
})

test('a secret that is written out is a fault that does not repeat it, and a reference is none', () => {
  const of = (value: string) => declaredBy('f.yaml', `config:\n  connector.class: X\n  database.password: '${value}'\n`)

  const written = of('hunter2')
  const referred = of('\u0024{file:secrets.properties:pg}')

  assert.match(written.faults[0]!, /^f\.yaml:3: config\.database\.password: holds a secret; refer to it/)
  assert.doesNotMatch(written.faults.join(), /hunter2/)
  assert.deepEqual(referred.faults, [])
})

test('the configurations that come with Freshet are declared well', () => {
  const connectors = declaredIn(join(import.meta.dirname, 'configurations'))

  assert.ok(connectors.length >= 6, `only ${connectors.length} configurations were read`)
})
