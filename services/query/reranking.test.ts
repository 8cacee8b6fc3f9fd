import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Reranker } from '../../engine/reranker.ts'
import { memoryTenants } from '../../test/tenancy/memory-tenants.ts'
import { wholeTenant } from '../principal.ts'
import { admit, type Operation, perform, unlimited } from './operations.ts'
import { clientMessage, LIMITS, type SubscribeMessage } from './protocol.ts'
import type { SearchResult } from './searching.ts'

const by = wholeTenant('acme', 'key:a')

/** The later the place that a text names, the better it is. */
const lastFirst: Reranker = {
  model: 'last-first@1',
  rerank: async (_query, texts) => texts.map((text) => Number(/place (\d+)/.exec(text)?.[1] ?? 0) / 100),
  async close() {},
}

async function world(reranker: Reranker | null = lastFirst) {
  const own = await memoryTenants()
  const ask = async (message: object, signal = new AbortController().signal) =>
    (await perform(
      clientMessage.parse(message) as Operation,
      by,
      { ...own.ports, reranker },
      { signal },
    )) as SearchResult
  const documents = Array.from({ length: 60 }, (_each, i) => ({
    id: `d${i}`,
    text: `Otters and herons at place ${i}.`,
  }))
  await ask({ type: 'publish', id: 'p', documents })
  await own.settle()
  return {
    own,
    search: (more: object, signal?: AbortSignal) => ask({ type: 'search', id: 's', query: 'otters', ...more }, signal),
  }
}

test('the best are read by the model and ordered anew, and an explanation says where each stood before', async () => {
  const { own, search } = await world()
  await using _ = own
  const before = await search({ k: LIMITS.rerankedMax })

  const { hits, ms } = await search({ k: 3, rerank: true, explain: true })

  const places = before.hits.map(({ text }) => Number(/place (\d+)/.exec(text)![1]))
  const best = places.toSorted((a, b) => b - a).slice(0, 3)
  assert.deepEqual(
    hits.map(({ documentId, score }) => [documentId, score]),
    best.map((place) => [`d${place}`, place / 100]),
  )
  for (const { documentId, explain } of hits) {
    const at = before.hits.findIndex((hit) => hit.documentId === documentId)
    assert.deepEqual(explain?.reranked, { rank: at + 1, score: before.hits[at]!.score })
  }
  assert.equal(typeof ms.rerank, 'number')
})

test('the least score is the model’s', async () => {
  const { own, search } = await world()
  await using _ = own

  const { hits } = await search({ k: 50, rerank: true, scoreMin: 0.5 })

  assert.ok(hits.length > 0 && hits.every(({ score }) => score >= 0.5))
})

test('what cannot be reranked is refused with the reason', async () => {
  const { own, search } = await world()
  await using _ = own
  const without = await world(null)
  await using __ = without.own
  const standing = clientMessage.parse({
    type: 'subscribe',
    id: 's',
    query: 'otters',
    rerank: true,
  }) as SubscribeMessage

  await assert.rejects(search({ rerank: true, cursor: '' }), {
    code: 'bad_request',
    message: /leave cursor or rerank out/,
  })
  await assert.rejects(search({ rerank: true, k: 51 }), { code: 'bad_request', message: /the best 50, and k is 51/ })
  await assert.rejects(search({ rerank: true, query: { like: 'acme/d1' } }), {
    code: 'bad_request',
    message: /needs a text/,
  })
  await assert.rejects(without.search({ rerank: true }), { code: 'unsupported', message: /FRESHET_RERANK_MODEL/ })
  assert.throws(() => admit(standing, by, unlimited), {
    code: 'unsupported',
    message: /a standing query is not reranked/,
  })
})

test('a model that fails is said to have failed, and a search that is given up is given up there too', async () => {
  const failing = await world({ ...lastFirst, rerank: async () => Promise.reject(new Error('no such luck')) })
  await using _ = failing.own
  const stop = new AbortController()
  const begun = Promise.withResolvers<void>()
  const waiting = await world({
    ...lastFirst,
    rerank: (_query, _texts, { signal }) => {
      begun.resolve()
      return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    },
  })
  await using __ = waiting.own

  const left = waiting.search({ rerank: true }, stop.signal)
  await begun.promise
  stop.abort()

  await assert.rejects(left, { code: 'cancelled' })
  await assert.rejects(failing.search({ rerank: true }), {
    code: 'unavailable',
    message: /last-first@1 failed: no such luck/,
  })
})

test('a search that is reranked counts what the model reads against the quota of searches', () => {
  const asked: number[] = []
  const quotas = {
    ...unlimited,
    searching(_by: unknown, tokens: number) {
      asked.push(tokens)
      return null
    },
  }
  const messageOf = (more: object) =>
    clientMessage.parse({ type: 'search', id: 's', query: 'otters', ...more }) as Operation

  admit(messageOf({}), by, quotas)
  admit(messageOf({ rerank: true }), by, quotas)

  assert.deepEqual(asked, [2, 10_002])
})
