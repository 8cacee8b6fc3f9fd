import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { type Filter, filterSchema, matches } from '../../search/filter.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { random } from '../../test/random.ts'
import { connectQdrant } from './client.ts'
import { filterOf } from './filter.ts'
import { value as stored } from './points.ts'

const qdrant = connectQdrant({ url: addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant })
const collectionName = `filters_${randomUUID()}`
after(() => qdrant.collections.delete({ collectionName }))

const DOCUMENTS = 200
const FILTERS = 300

test('Qdrant finds by random filters what they say, values of every type, lists and dates among them', async () => {
  const next = random(20_261_124)
  const one = <T>(of: readonly T[]) => of[Math.floor(next() * of.length)]!
  const words = ['reed', 'weir', 'mill']
  const days = [
    '2026-03-01',
    '2026-03-01T08:00:00Z',
    '2026-03-01T08:00:00+02:00',
    '2026-03-01 08:00:00',
    '2026-04-05T00:00:00.5Z',
    'soon',
  ]
  const documents = Array.from({ length: DOCUMENTS }, () => ({
    ...(next() < 0.8 && { word: one(words) }),
    ...(next() < 0.8 && { tags: words.filter(() => next() < 0.4) }),
    ...(next() < 0.8 && { count: Math.floor(next() * 4) - 1.5 }),
    ...(next() < 0.8 && { isRare: next() < 0.5 }),
    ...(next() < 0.8 && { 'seen.at': one(days) }),
    ...(next() < 0.3 && { mixed: one<string | number | boolean>(['reed', 1, true]) }),
  }))
  const condition = (): Filter => {
    const bounds = <T>(of: readonly T[]) => ({
      [one(['gt', 'gte'])]: one(of),
      ...(next() < 0.5 && { [one(['lt', 'lte'])]: one(of) }),
    })
    const name = one(['word', 'tags', 'count', 'isRare', 'seen.at', 'mixed', 'absent'])
    const value = one<string | number | boolean>([...words, -0.5, 0.5, 1, true, false])
    const moments = ['2026-03-01T00:00:00Z', '2026-03-01T06:00:00Z', '2026-03-01T08:00:00Z', '2026-04-05T00:00:00Z']
    return {
      [name]: one<unknown>([
        value,
        { in: [value, one(words)] },
        { not: value },
        { exists: next() < 0.5 },
        bounds([-1.5, 0.5, 1]),
        bounds(moments),
      ]),
    } as Filter
  }
  const filter = (depth: number): Filter => {
    const own = condition()
    if (depth === 1 || next() < 0.5) return next() < 0.3 ? { ...own, ...condition() } : own
    return one<Filter>([
      { ...own, $or: [filter(depth - 1), filter(depth - 1)] },
      { $and: [own, filter(depth - 1)] },
      { $not: filter(depth - 1) },
    ])
  }
  await qdrant.collections.create({
    collectionName,
    vectorsConfig: { config: { case: 'params', value: { size: 1n, distance: 1 } } },
  })
  await qdrant.points.upsert({
    collectionName,
    wait: true,
    points: documents.map((attributes, i) => ({
      id: { pointIdOptions: { case: 'num', value: BigInt(i) } },
      payload: { tenant: stored('acme'), attributes: stored(attributes) },
      vectors: { vectorsOptions: { case: 'vector', value: { vector: { case: 'dense', value: { data: [1] } } } } },
    })),
  })
  const sizes: number[] = []

  for (let i = 0; i < FILTERS; i++) {
    const asked = filterSchema.parse(filter(4))
    const { result } = await qdrant.points.scroll({
      collectionName,
      filter: filterOf({ tenant: 'acme', groups: ['*'] }, asked),
      limit: DOCUMENTS,
    })
    const found = result.map(({ id }) => Number(id!.pointIdOptions.value)).sort((a, b) => a - b)
    const expected = documents.flatMap((attributes, id) => (matches(asked, attributes) ? [id] : []))
    assert.deepEqual(found, expected, JSON.stringify(asked))
    sizes.push(found.length)
  }

  assert.ok(sizes.filter((size) => size > 0 && size < DOCUMENTS).length > FILTERS / 4, `${sizes}`)
})
