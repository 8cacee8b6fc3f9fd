import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryTenants } from '../../test/tenancy/memory-tenants.ts'
import { wholeTenant } from '../principal.ts'
import { type Operation, perform } from './operations.ts'
import { clientMessage, LIMITS } from './protocol.ts'
import type { SearchResult } from './searching.ts'

const by = wholeTenant('acme', 'key:a')

async function world() {
  const own = await memoryTenants()
  const ask = async (message: object) =>
    (await perform(clientMessage.parse(message) as Operation, by, own.ports, {
      signal: new AbortController().signal,
    })) as SearchResult
  const publish = async (documents: readonly object[]) => {
    await ask({ type: 'publish', id: 'p', documents })
    await own.settle()
  }
  return { own, publish, search: (more: object) => ask({ type: 'search', id: 's', ...more }) }
}

test('pages are the parts of one list, each hit once, and end where it ends', async () => {
  const { own, publish, search } = await world()
  await using _ = own
  const texts = Array.from({ length: 23 }, (_each, i) => ({
    id: `d${i}`,
    text: `Otters and herons, part ${i} of the marsh.`,
  }))
  await publish(texts)
  const wish = { query: 'otters in the marsh', k: 10 }

  const pages: SearchResult[] = [await search({ ...wish, cursor: '' })]
  while (pages.at(-1)!.next !== undefined) pages.push(await search({ ...wish, cursor: pages.at(-1)!.next }))
  const whole = await search({ ...wish, k: 100 })

  assert.deepEqual(
    pages.map(({ hits }) => hits.length),
    [10, 10, 3],
  )
  assert.deepEqual(
    pages.flatMap(({ hits }) => hits.map(({ hitId }) => hitId)),
    whole.hits.map(({ hitId }) => hitId),
  )
  await assert.rejects(search({ ...wish, cursor: 'p10x' }), { code: 'bad_request', message: /^cursor: is none/ })
  await assert.rejects(search({ ...wish, cursor: `p${LIMITS.pagedHitsMax}` }), { message: /narrow the search/ })
})

test('an explanation says where a hit stands in each list, and its score follows from that', async () => {
  const { own, publish, search } = await world()
  await using _ = own
  await publish([
    { id: 'both', text: 'Otters in the reeds.' },
    { id: 'one', text: 'Something about boats.' },
  ])

  const { hits, ms } = await search({ query: 'otters in the reeds', explain: true })

  const [first, second] = hits
  assert.equal(first!.documentId, 'both')
  assert.deepEqual([first!.explain!.dense!.rank, first!.explain!.keyword!.rank], [1, 1])
  assert.equal(second!.explain!.keyword, null)
  for (const { score, explain } of hits) {
    const parts = [explain!.dense, explain!.keyword].map((place) => (place === null ? 0 : 1 / (60 + place.rank)))
    assert.ok(Math.abs(score - (parts[0]! + parts[1]!)) < 1e-9)
  }
  assert.ok(ms.wait !== undefined && ms.wait >= 0)
})

test('highlights are the words of a hit that the query has, whatever their form, and none that everybody uses', async () => {
  const { own, publish, search } = await world()
  await using _ = own
  const text = 'The OTTER swam. Otters’ young swim, and the café is closed.'
  await publish([{ id: 'a', text }])
  const words = async (query: unknown, more = {}) => {
    const { hits } = await search({ query, highlight: true, ...more })
    return hits[0]!.highlights!.map(([start, end]) => hits[0]!.text.slice(start, end))
  }

  assert.deepEqual(await words('the otters at the café'), ['OTTER', 'Otters', 'café'])
  assert.deepEqual(await words('swimming'), ['swim'])
  assert.deepEqual(await words({ like: 'acme/b' }).catch(({ code }) => code), 'not_found')
  assert.equal((await search({ query: 'otters' })).hits[0]!.highlights, undefined)
})
