import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Control } from '../../schemas/records.ts'
import { followServing } from './serving.ts'

const scope = { prefix: '', space: 'es_aa' }
const canary = (tenants: string[]) => ({
  space: 'es_bb',
  collection: 'es_bb',
  percent: 0,
  by: 'tenant',
  tenants,
  since: 0,
})
const acme = { tenant: 'acme', subject: 'key:1' }
const other = { tenant: 'other', subject: 'key:2' }

function world(engines: Set<string>) {
  const records = new Map<string, Control>()
  const told: (() => void)[] = []
  const opened: (() => void)[] = []
  let switches = 0
  const control = {
    entries: () => records.entries(),
    changed: (listener: (subject: string, value: undefined) => void) => void told.push(() => listener('', undefined)),
    sync: async () => {},
  }
  const open = ({ space }: { space: string }) => (engines.has(space) ? ({ index: {}, engine: {} } as never) : null)
  const serving = followServing(control, scope, open, (listener) => void opened.push(listener))
  serving.switched(() => switches++)
  return {
    serving,
    switches: () => switches,
    opens(space: string) {
      engines.add(space)
      for (const each of opened) each()
    },
    says(collection: string, named: ReturnType<typeof canary> | null = null) {
      const said = { space: collection.slice(0, 5), collection, since: null, canary: named }
      records.set('serving', { serving: said, space: null, collection: null } as unknown as Control)
      for (const each of told) each()
    },
  }
}

test('a collection of another space answers as soon as there is an engine of its space, and not before', () => {
  const { serving, says, opens, switches } = world(new Set(['es_aa']))

  says('es_bb')
  const before = serving.of(acme).collection
  opens('es_bb')

  assert.equal(before, 'es_aa')
  assert.equal(serving.of(acme).collection, 'es_bb')
  assert.equal(switches(), 1)
})

test('a canary answers those who are in it and nobody else, and is over when control says so', () => {
  const { serving, says } = world(new Set(['es_aa', 'es_bb']))

  says('es_aa', canary(['acme']))
  const during = [serving.of(acme), serving.of(other), serving.of(null)].map(({ space }) => space)
  const all = serving.all().length
  says('es_aa')

  assert.deepEqual(during, ['es_bb', 'es_aa', 'es_aa'])
  assert.equal(all, 2)
  assert.equal(serving.of(acme).space, 'es_aa')
})

test('who was answered by a canary that is promoted is not moved again', () => {
  const { serving, says } = world(new Set(['es_aa', 'es_bb']))
  says('es_aa', canary(['acme']))
  const before = serving.of(acme)

  says('es_bb')

  assert.equal(serving.of(acme), before)
  assert.equal(serving.of(other), before)
})

test('who is in a canary without an engine here is answered like all others', () => {
  const { serving, says } = world(new Set(['es_aa']))

  says('es_aa', canary(['acme']))

  assert.equal(serving.of(acme).space, 'es_aa')
})
