import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Engine } from '../engine/embedder.ts'
import type { Control } from '../schemas/records.ts'
import { virtualClock } from '../streams/clock.ts'
import { States } from '../streams/states.ts'
import { followSpaceEngines } from './space-engines.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const space = (model: string) => ({ space: { model, version: '1', dimensions: 3, since: 1 } })
const collection = (of: string, state: string) => ({ collection: { space: of, state, since: 0, behind: null } })
const serves = (of: string) => ({ serving: { space: of, collection: of, since: null, canary: null } })

function world(openable: Record<string, string>) {
  const records = new Map<string, Control>()
  const listeners: (() => void)[] = []
  const closed: string[] = []
  const clock = virtualClock()
  const states = new States(clock.now)
  const engineOf = (id: string) =>
    ({ space: { id, model: id, dimensions: 3, maxTokens: 8 }, close: async () => closed.push(id) }) as unknown as Engine
  const engines = followSpaceEngines({
    control: {
      entries: () => records.entries(),
      changed: (listener) => void listeners.push(() => listener('', undefined)),
    },
    scope: { prefix: '', space: 'es_aa' },
    first: engineOf('es_aa'),
    async openModel({ model }) {
      if (openable[model] === undefined) throw new Error(`no files of ${model}`)
      return engineOf(openable[model])
    },
    states,
    log: { info() {}, warn() {} },
    clock,
  })
  return {
    engines,
    states,
    closed,
    openable,
    async says(said: Record<string, object>) {
      for (const [key, value] of Object.entries(said))
        records.set(key, { serving: null, space: null, collection: null, ...value } as Control)
      for (const listener of listeners) listener()
      for (let i = 0; i < 5; i++) await turn()
    },
    async passes(ms: number) {
      await clock.advance(ms)
      for (let i = 0; i < 5; i++) await turn()
    },
  }
}

test('a space that control names is opened, and closed when it is not kept any more', async () => {
  const { engines, closed, says, passes } = world({ young: 'es_bb' })

  await says({
    serving: serves('es_aa'),
    'spaces/es_bb': space('young'),
    'collections/es_bb': collection('es_bb', 'filling'),
  })
  const opened = engines.of('es_bb')?.space.id
  await says({ 'collections/es_bb': collection('es_bb', 'removed') })
  const afterwards = engines.of('es_bb')
  await passes(60_000)

  assert.equal(opened, 'es_bb')
  assert.equal(afterwards, null)
  assert.deepEqual(closed, ['es_bb'])
  assert.equal(engines.of('es_aa')?.space.id, 'es_aa')
})

test('a model that makes another space than control says is closed and refused, and both are named', async () => {
  const { engines, states, closed, says } = world({ young: 'es_cc' })

  await says({
    serving: serves('es_aa'),
    'spaces/es_bb': space('young'),
    'collections/es_bb': collection('es_bb', 'filling'),
  })

  const [state] = states.present()
  assert.equal(engines.of('es_bb'), null)
  assert.equal(state?.name, 'model-unavailable')
  assert.match(state.detail, /young@1 makes the space es_bb, and here it makes es_cc/)
  assert.equal(state.blocking, false)
  assert.deepEqual(closed, ['es_cc'])
})

test('a model that is missing is tried again until it is there; it keeps a role from being ready if its space serves', async () => {
  const { engines, states, openable, says, passes } = world({})

  await says({ 'spaces/es_bb': space('young'), serving: serves('es_bb') })
  const missing = states.present()
  openable.young = 'es_bb'
  await passes(2_000)

  assert.deepEqual(
    missing.map(({ name, blocking }) => [name, blocking]),
    [['model-unavailable', true]],
  )
  assert.equal(engines.of('es_bb')?.space.id, 'es_bb')
  assert.deepEqual(states.present(), [])
})
