import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, test } from 'node:test'
import { PayloadSchemaType } from '@qdrant/js-client-grpc'
import { type DeclaredAttributes, filterFaults } from '../../search/attributes.ts'
import { type Filter, filterSchema, matches } from '../../search/filter.ts'
import { addressesOf, loadConfig, platformConfig } from '../../services/config.ts'
import { random } from '../../test/random.ts'
import { dropIndex, indexedPaths, makeIndex, needless, unindexed } from './attribute-indexes.ts'
import { connectQdrant } from './client.ts'
import { filterOf } from './filter.ts'
import { value as stored } from './points.ts'

const qdrant = connectQdrant({ url: addressesOf(loadConfig(platformConfig, { env: process.env })).qdrant })
const collectionName = `filters_${randomUUID()}`
after(() => qdrant.collections.delete({ collectionName }))

const DOCUMENTS = 200
const FILTERS = 300

const next = random(20_261_124)
const one = <T>(of: readonly T[]) => of[Math.floor(next() * of.length)]!
const words = ['reed', 'weir', 'mill']
const days = [
  '2026-03-01',
  '2026-03-01T08:00:00Z',
  '2026-03-01T08:00:00+02:00',
  '2026-03-01 08:00:00',
  '2026-03-01T08:00',
  '2026-03-01T08:00:00.000001Z',
  '2026-04-05T00:00:00.5Z',
  '2026-02-30',
  '2026-02-28T24:00:00Z',
  'soon',
]
/** Each has it in most documents, some of them with a value of another type: written before it was declared. */
const documents = Array.from({ length: DOCUMENTS }, () => ({
  ...(next() < 0.8 && { word: one([...words, 'reed', 7]) }),
  ...(next() < 0.8 && { tags: words.filter(() => next() < 0.4) }),
  ...(next() < 0.8 && { count: one([-1.5, -0.5, 0.5, 1, 2, '1']) }),
  ...(next() < 0.8 && { whole: one([-1, 0, 1, 2, 2 ** 53, 0.5, true, '1', ['1']]) }),
  ...(next() < 0.8 && { isRare: one([true, false, 1, 'true']) }),
  ...(next() < 0.8 && { 'seen.at': one<unknown>([...days, days.filter(() => next() < 0.3), 20_260_301]) }),
  ...(next() < 0.3 && { mixed: one<string | number | boolean>(['reed', 1, true]) }),
}))
const declared: DeclaredAttributes = new Map([
  ['word', 'keyword'],
  ['tags', 'keyword'],
  ['count', 'number'],
  ['whole', 'integer'],
  ['isRare', 'boolean'],
  ['seen.at', 'datetime'],
  ['mixed', 'keyword'],
  ['absent', 'integer'],
])

function anyCondition(): Filter {
  const bounds = <T>(of: readonly T[]) => ({
    [one(['gt', 'gte'])]: one(of),
    ...(next() < 0.5 && { [one(['lt', 'lte'])]: one(of) }),
  })
  const name = one([...declared.keys()])
  const value = one<string | number | boolean>([...words, -0.5, 0.5, 1, true, false])
  const moments = [
    '2026-03-01T00:00:00Z',
    '2026-03-01T06:00:00Z',
    '2026-03-01T08:00:00Z',
    '2026-03-01T08:00:00.000001Z',
    '2026-04-05T00:00:00Z',
  ]
  return {
    [name]: one<unknown>([
      value,
      { in: [value, one(words)] },
      { in: [1, 2] },
      { not: value },
      { exists: next() < 0.5 },
      bounds([-1.5, 0.5, 1]),
      bounds(moments),
    ]),
  } as Filter
}

/** One that is not refused. */
function fitting(): Filter {
  for (;;) {
    const condition = anyCondition()
    if (filterFaults(condition, declared).length === 0) return condition
  }
}

function filterOfConditions(condition: () => Filter, depth: number): Filter {
  const own = condition()
  if (depth === 1 || next() < 0.5) return next() < 0.3 ? { ...own, ...condition() } : own
  const deeper = () => filterOfConditions(condition, depth - 1)
  return one<() => Filter>([
    () => ({ ...own, $or: [deeper(), deeper()] }),
    () => ({ $and: [own, deeper()] }),
    () => ({ $not: deeper() }),
  ])()
}

/** How many documents each of many filters finds, which are those that it says. */
async function compared(condition: () => Filter): Promise<number[]> {
  const sizes: number[] = []
  for (let i = 0; i < FILTERS; i++) {
    const asked = filterSchema.parse(filterOfConditions(condition, 4))
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
  return sizes
}

const indexedTypes = async () =>
  new Map([...(await indexedPaths(qdrant, collectionName))].map(([path, type]) => [path, PayloadSchemaType[type]]))

test('Qdrant finds by random filters what they say, values of every type, lists and dates among them', async () => {
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

  assert.ok((await compared(anyCondition)).length > 0)
})

test('with the declared attributes indexed it finds the same, also documents that have them with another type', async () => {
  for (const each of declared) await makeIndex(qdrant, collectionName, each)
  // Once more is nothing more.
  for (const each of declared) await makeIndex(qdrant, collectionName, each)

  assert.deepEqual(
    await indexedTypes(),
    new Map([
      ['attributes.word', 'Keyword'],
      ['attributes.tags', 'Keyword'],
      ['attributes.count', 'Float'],
      ['attributes.whole', 'Float'],
      ['attributes.isRare', 'Bool'],
      ['attributes."seen.at"', 'Datetime'],
      ['attributes.mixed', 'Keyword'],
      ['attributes.absent', 'Float'],
    ]),
  )
  assert.ok((await compared(fitting)).length > 0)
})

test('an index that no declared attribute needs is found and dropped, and the others stay', async () => {
  const now: DeclaredAttributes = new Map([
    ['word', 'keyword'],
    ['count', 'integer'],
    ['mixed', 'number'],
    ['seen.at', 'datetime'],
    ['colour', 'keyword'],
  ])
  const before = await indexedPaths(qdrant, collectionName)

  for (const path of needless(before, now)) await dropIndex(qdrant, collectionName, path)

  const after = await indexedPaths(qdrant, collectionName)
  assert.deepEqual([...after.keys()].sort(), ['attributes."seen.at"', 'attributes.count', 'attributes.word'])
  assert.deepEqual(unindexed(after, now), ['mixed', 'colour'])
  assert.deepEqual(needless(after, now), [])
})
