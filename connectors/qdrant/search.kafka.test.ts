import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { planKey } from '../../processors/index-plan.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { random } from '../../test/random.ts'
import { connectQdrant } from './client.ts'
import { ensureCollection } from './collection.ts'
import { qdrantSearch } from './search.ts'
import { qdrantIndex } from './vector-index.ts'

const qdrant = connectQdrant({ url: addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant })
const spec = { collection: `weights_${randomUUID()}`, space: 'es_weights', dimensions: 4 }
after(() => qdrant.collections.delete({ collectionName: spec.collection }))

const DOCUMENTS = 60
const reader = { tenant: 'acme', groups: ['*'] }

test('what Qdrant says that terms weigh makes up the scores that it gives, other tenants counted', async () => {
  const next = random(7)
  await ensureCollection(qdrant, spec)
  const index = qdrantIndex(qdrant, spec)
  const termsOf = new Map<string, Map<number, number>>()
  const writes = Array.from({ length: DOCUMENTS }, (_, i) => {
    const key = `${i % 3 === 0 ? 'zenith' : 'acme'}/d${i}`
    // Term t is in about one of t + 1 documents.
    const terms = [0, 1, 2, 5, 9].filter((term) => next() < 1 / (term + 1)).map((term) => [term, 0.5 + next()] as const)
    termsOf.set(key, new Map(terms.map(([term, value]) => [term, Math.fround(value)])))
    const chunk = {
      ...{ start: 0, end: 1, text: 'x', hash: 'x' },
      vector: Buffer.from(Float32Array.of(1, 0, 0, 0).buffer),
      termIndices: Buffer.from(Uint32Array.from(terms, ([term]) => term).buffer),
      termValues: Buffer.from(Float32Array.from(terms, ([, value]) => value).buffer),
    }
    const fence = { epoch: 1, offset: i, derivation: 0 }
    const said = { title: null, url: null, language: null, attributes: {}, acl: null, pipeline: 't', contentHash: key }
    const vectors = { ...fence, ...said, space: spec.space, chunks: [chunk] }
    return planKey([{ key, partition: 0, fence, vectors, rejected: null }], null).write!
  })
  await index.apply(writes, (await index.read([], 0)).connection)
  const search = qdrantSearch(qdrant, spec)

  const weights = await search.termWeights(reader, [0, 1, 2, 5, 9, 77])
  const terms = { indices: Uint32Array.of(0, 1, 2, 5), values: Float32Array.of(1, 1, 1, 1) }
  const [found] = await search.candidates([{ reader, dense: null, terms, filter: {}, window: 50 }])

  assert.ok(found!.keyword.length > 20, `${found!.keyword.length} were found`)
  for (const { key, score } of found!.keyword) {
    const own = termsOf.get(key)!
    const sum = [0, 1, 2, 5].reduce((all, term) => all + (own.get(term) ?? 0) * (weights.get(term) ?? 0), 0)
    assert.ok(Math.abs(sum - score) < 1e-4, `${key} scores ${score}, and its terms make ${sum}`)
  }
  assert.ok(weights.get(5)! > weights.get(0)!, 'a rare term weighs more')
  assert.equal(weights.get(77), undefined)
})
