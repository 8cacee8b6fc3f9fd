/** How Freshet searches a Qdrant, against plain calculations. True of the embedded one and of the server, 1.19. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Direction, FieldType } from '@qdrant/js-client-grpc'
import { random } from '../../../test/random.ts'
import { localSettings } from '../settings.ts'
import { connect, createRequest, hasId, id, is, isEmpty, nearest, nearestTerms, point, within } from './requests.ts'

const { portBase, qdrantUrl } = localSettings(process.env)
const { points, collections } = connect(qdrantUrl ?? `http://127.0.0.1:${portBase + 34}`)
const within10s = { timeoutMs: 10_000 }
const collectionName = `search-test-${process.pid}-${Date.now()}`
const writes = { collectionName, wait: true }
const dimensions = 16
const seed = 20_260_101

const corpus = makeCorpus(200)
const searched = [is('kind', 'corpus')]

before(async () => {
  await collections.create(createRequest(collectionName, dimensions), within10s)
  const indexes = {
    kind: FieldType.FieldTypeKeyword,
    tenant: FieldType.FieldTypeKeyword,
    n: FieldType.FieldTypeInteger,
  }
  for (const [fieldName, fieldType] of Object.entries(indexes)) {
    const params = { case: 'keywordIndexParams' as const, value: { isTenant: true } }
    await points.createFieldIndex(
      { ...writes, fieldName, fieldType, ...(fieldName === 'tenant' && { fieldIndexParams: { indexParams: params } }) },
      within10s,
    )
  }
  await points.upsert(
    { ...writes, points: corpus.map(({ n, vectors, fields }) => point(n, vectors, fields)) },
    within10s,
  )
})

after(async () => {
  await collections.delete({ collectionName }, within10s)
})

test('the nearest by dense vector are those of a plain calculation', async () => {
  const query = unit(random(seed + 1))

  const found = await search({ query: nearest(query), using: 'dense' })

  assertRanked(
    found,
    corpus.map(({ n, vectors }) => [n, dot(query, vectors.dense)]),
  )
})

test('the nearest by terms are those of a plain calculation with the inverse document frequency', async () => {
  const query = new Map([3, 40, 55, 77].map((term, i) => [term, 1 + i / 4]))
  const documents = corpus.length

  const found = await search({ query: nearestTerms(query), using: 'terms' })

  const idf = (term: number) => {
    const holding = corpus.filter(({ vectors }) => vectors.terms.has(term)).length
    return Math.log((documents - holding + 0.5) / (holding + 0.5) + 1)
  }
  const scored = corpus.flatMap(({ n, vectors }): [number, number][] => {
    const shared = [...query].filter(([term]) => vectors.terms.has(term))
    if (shared.length === 0) return []
    return [[n, shared.reduce((sum, [term, weight]) => sum + weight * idf(term) * vectors.terms.get(term)!, 0)]]
  })
  assertRanked(found, scored)
})

test('a query by id finds the neighbours of a point, not the point itself', async () => {
  const of = corpus[16]!
  const query = { variant: { case: 'nearest' as const, value: { variant: { case: 'id' as const, value: id(of.n) } } } }

  const found = await search({ query, using: 'dense' })

  const others = corpus.filter(({ n }) => n !== of.n)
  assertRanked(
    found,
    others.map(({ n, vectors }) => [n, dot(of.vectors.dense, vectors.dense)]),
  )
})

test('a batch of queries answers in the order of the queries, and a threshold cuts by score', async () => {
  const query = unit(random(seed + 2))
  const best = corpus.map(({ vectors }) => dot(query, vectors.dense)).sort((a, b) => b - a)
  const scoreThreshold = (best[4]! + best[5]!) / 2
  const dense = { collectionName, query: nearest(query), using: 'dense', limit: 50n, filter: { must: searched } }

  const { result } = await points.queryBatch(
    {
      collectionName,
      queryPoints: [
        { ...dense, scoreThreshold },
        { ...dense, limit: 3n, offset: 2n },
      ],
    },
    within10s,
  )

  assert.equal(result[0]?.result.length, 5)
  assert.deepEqual(
    result[1]?.result.map((hit) => hit.score.toFixed(4)),
    best.slice(2, 5).map((score) => score.toFixed(4)),
  )
})

test('filters select what a plain predicate selects', async () => {
  type Fields = (typeof corpus)[number]['fields']
  const cases: [string, Parameters<typeof count>[0], (fields: Fields, n: number) => boolean][] = [
    ['keyword', { must: [is('tenant', 'b')] }, (f) => f.tenant === 'b'],
    ['one of', { must: [is('tenant', ['a', 'c'])] }, (f) => f.tenant !== 'b'],
    ['integer', { must: [is('n', 17n)] }, (f) => f.n === 17n],
    ['boolean true', { must: [is('even', true)] }, (f) => f.even],
    ['boolean false', { must: [is('even', false)] }, (f) => !f.even],
    ['range', { must: [within('n', { gte: 20, lt: 40 })] }, (f) => f.n >= 20n && f.n < 40n],
    ['range of doubles', { must: [within('half', { gt: 10.5, lte: 20 })] }, (f) => f.half > 10.5 && f.half <= 20],
    ['is empty', { must: [isEmpty('rare')] }, (f) => !('rare' in f)],
    ['has id', { must: [hasId(1, 5, 9, 99_999)] }, (_, n) => [1, 5, 9].includes(n)],
    ['should', { should: [is('tenant', 'a'), is('n', 1n)] }, (f) => f.tenant === 'a' || f.n === 1n],
    ['must not', { mustNot: [is('tenant', 'a'), is('even', true)] }, (f) => f.tenant !== 'a' && !f.even],
    ['within an object', { must: [is('nested.tag', 'x3')] }, (f) => f.nested.tag === 'x3'],
    ['and within or', { should: [all(is('tenant', 'a'), is('even', true)), is('n', 3n)] }, orOfAnd],
  ]
  function orOfAnd(f: Fields) {
    return (f.tenant === 'a' && f.even) || f.n === 3n
  }

  const counted: [string, number][] = []
  for (const [name, filter] of cases) counted.push([name, await count(filter)])

  assert.deepEqual(
    counted,
    cases.map(([name, , holds]) => [name, corpus.filter(({ fields, n }) => holds(fields, n)).length]),
  )
})

test('a scroll goes through all points by pages, in the order of their ids', async () => {
  const seen: number[] = []
  let offset: ReturnType<typeof id> | undefined

  do {
    const page = await points.scroll(
      { collectionName, limit: 33, filter: { must: searched }, ...(offset && { offset }) },
      within10s,
    )
    seen.push(...page.result.map(numberOf))
    offset =
      page.nextPageOffset?.pointIdOptions.case === 'num'
        ? id(Number(page.nextPageOffset.pointIdOptions.value))
        : undefined
  } while (offset)

  assert.deepEqual(
    seen,
    corpus.map(({ n }) => n),
  )
})

test('a scroll can be ordered by an indexed field', async () => {
  const orderBy = { key: 'n', direction: Direction.Desc }

  const { result } = await points.scroll({ collectionName, limit: 3, filter: { must: searched }, orderBy }, within10s)

  assert.deepEqual(result.map(numberOf), [200, 199, 198])
})

test('points are read in the order in which they were asked for, missing ones left out', async () => {
  const { result } = await points.get({ collectionName, ids: [150, 99_999, 3, 77].map(id) }, within10s)

  assert.deepEqual(result.map(numberOf), [150, 3, 77])
})

test('vectors come back as they were written', async () => {
  const of = corpus[4]!
  const withVectors = { selectorOptions: { case: 'enable' as const, value: true } }

  const { result } = await points.get({ collectionName, ids: [id(of.n)], withVectors }, within10s)

  const held = result[0]?.vectors?.vectorsOptions
  const { dense, terms } = held?.case === 'vectors' ? held.value.vectors : {}
  assert.deepEqual(dense?.vector.case === 'dense' && dense.vector.value.data, of.vectors.dense)
  const sparse = terms?.vector.case === 'sparse' ? terms.vector.value : undefined
  assert.deepEqual(new Map(sparse?.indices.map((index, i) => [index, sparse.values[i]])), sorted(of.vectors.terms))
})

function makeCorpus(size: number) {
  const next = random(seed)
  return Array.from({ length: size }, (_, i) => {
    const n = i + 1
    const terms = new Map(Array.from({ length: 8 }, () => [Math.floor(next() * 100), Math.fround(1 + next())]))
    const fields = {
      kind: 'corpus',
      n: BigInt(n),
      tenant: 'abc'[n % 3]!,
      even: n % 2 === 0,
      half: n / 2,
      nested: { tag: `x${n % 7}` },
      ...(n % 5 === 0 && { rare: 'yes' }),
    }
    return { n, vectors: { dense: unit(next), terms }, fields }
  })
}

function unit(next: () => number): number[] {
  const raw = Array.from({ length: dimensions }, () => next() - 0.5)
  const length = Math.hypot(...raw)
  return raw.map((x) => Math.fround(x / length))
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0)

const sorted = (terms: ReadonlyMap<number, number>) => new Map([...terms].sort(([a], [b]) => a - b))

const all = (...must: ReturnType<typeof is>[]) => ({ conditionOneOf: { case: 'filter' as const, value: { must } } })

async function count(filter: { must?: object[]; should?: object[]; mustNot?: object[] }) {
  const within = { ...filter, must: [...searched, ...(filter.must ?? [])] }
  return Number((await points.count({ collectionName, filter: within, exact: true }, within10s)).result?.count)
}

async function search(query: object): Promise<[number, number][]> {
  const { result } = await points.query({ collectionName, limit: 20n, filter: { must: searched }, ...query }, within10s)
  return result.map((hit) => [numberOf(hit), hit.score])
}

function numberOf({
  id,
}: {
  id?: { pointIdOptions: { case?: string | undefined; value?: unknown } } | undefined
}): number {
  return Number(id?.pointIdOptions.value)
}

/** Scores agree to single precision, and each point that was found has the score that was calculated for it. */
function assertRanked(found: readonly (readonly [number, number])[], scored: readonly (readonly [number, number])[]) {
  const expected = [...scored].sort(([, a], [, b]) => b - a).slice(0, 20)
  const scores = new Map(scored)
  assert.equal(found.length, expected.length, `seed ${seed}`)
  for (const [rank, [n, score]] of found.entries()) {
    assert.ok(
      Math.abs(score - expected[rank]![1]) < 1e-4,
      `rank ${rank}: ${score}, not ${expected[rank]![1]}; seed ${seed}`,
    )
    assert.ok(Math.abs(score - scores.get(n)!) < 1e-4, `point ${n}: ${score}, not ${scores.get(n)}; seed ${seed}`)
  }
}
