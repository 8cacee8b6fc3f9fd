import assert from 'node:assert/strict'
import { test } from 'node:test'
import { hashEngine } from '../../engine/hash-engine.ts'
import { wholeTenant } from '../principal.ts'
import { clientMessage, type SearchMessage } from './protocol.ts'
import type { Serving } from './serving.ts'
import { shadowing } from './shadow.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const fence = '1:5:0'
const asOf = { token: 'e30', staleMs: 0, complete: true, ingestStaleMs: 0 }

function world({ found, share = 1, held }: { found: string[]; share?: number; held?: Promise<void> }) {
  const candidates = found.map((id, i) => ({ id, key: `acme/${id}`, ordinal: 0, score: 1 - i / 10, fence }))
  const content = { text: 't', title: null, url: null, attributes: {}, start: 0, end: 1 }
  const index = {
    async candidates() {
      await held
      return [{ dense: candidates, keyword: [] }]
    },
    manifests: async () =>
      new Map(
        candidates.map(({ key }) => [
          key,
          {
            content: { epoch: 1, offset: 5, derivation: 0 },
            fence: { epoch: 1, offset: 5, derivation: 0 },
            deleted: false,
          },
        ]),
      ),
    contents: async () => new Map(candidates.map(({ id }) => [id, content])),
  }
  const beside = { space: 'es_bb', collection: 'es_bb', index, engine: hashEngine() } as unknown as Serving
  const present = { ...beside, space: 'es_aa', collection: 'es_aa' }
  const agreed: number[] = []
  const skipped: string[] = []
  const took: string[] = []
  const searched = shadowing({
    serving: { beside: () => beside, sync: async () => {} },
    freshness: { asOf: () => asOf },
    share,
    random: () => 0.5,
    measured: {
      took: (space) => void took.push(space),
      agreed: (_space, _beside, value) => void agreed.push(value),
      skipped: (why) => void skipped.push(why),
    },
  })
  return {
    agreed,
    skipped,
    took,
    async asked(documents: string[], more: object = {}) {
      const message = clientMessage.parse({ type: 'search', id: '1', query: 'otters', k: 4, ...more }) as SearchMessage
      searched({
        message,
        principal: wholeTenant('acme', 'key:1'),
        serving: present,
        documents,
        embedMs: 1,
        searchMs: 2,
      })
      for (let i = 0; i < 10; i++) await turn()
    },
  }
}

test('a live search is asked of the model beside, and how many of its documents both found is measured', async () => {
  const { asked, agreed, took } = world({ found: ['a', 'b', 'x', 'y'] })

  await asked(['a', 'b', 'c', 'd'])

  assert.deepEqual(agreed, [0.5])
  assert.deepEqual(took, ['es_aa', 'es_bb'])
})

test('one is compared at a time: what comes meanwhile is counted and not kept', async () => {
  const held = Promise.withResolvers<void>()
  const { asked, agreed, skipped } = world({ found: ['a'], held: held.promise })

  await asked(['a'])
  await asked(['a'])
  held.resolve()
  for (let i = 0; i < 10; i++) await turn()

  assert.deepEqual(agreed, [1])
  assert.deepEqual(skipped, ['busy'])
})

test('what no model decides, and what is not in the share, is asked of no other', async () => {
  const whole = world({ found: ['a'] })
  const less = world({ found: ['a'], share: 0.4 })

  await whole.asked(['a'], { mode: 'keyword' })
  await whole.asked(['a'], { cursor: '' })
  await whole.asked(['a'], { rerank: true })
  await less.asked(['a'])

  assert.deepEqual([...whole.agreed, ...less.agreed], [])
})
