/** What Freshet asks of a Qdrant. True of the embedded one and of the server, 1.19. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Code, ConnectError } from '@connectrpc/connect'
import { Direction, FieldType, UpdateMode, UpdateStatus } from '@qdrant/js-client-grpc'
import { localSettings } from '../settings.ts'
import {
  allPayload,
  connect,
  contents,
  createRequest,
  hasId,
  id,
  ids,
  is,
  isEmpty,
  nearest,
  nearestTerms,
  payload,
  point,
  random,
  type Vectors,
  within,
} from './requests.ts'

const { portBase, qdrantUrl } = localSettings(process.env)
const { points, collections, service } = connect(qdrantUrl ?? `http://127.0.0.1:${portBase + 34}`)
const within10s = { timeoutMs: 10_000 }
const collectionName = `embedded-test-${process.pid}-${Date.now()}`
const writes = { collectionName, wait: true }
const dimensions = 16
const seed = 20_260_101

/** Points 1 to 200: the corpus of the searches, which no test changes. Other tests use numbers from 1000 on. */
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
  await collections.delete({ collectionName: `${collectionName}-b` }, within10s)
})

test('a health check says the version of the API', async () => {
  const { title, version } = await service.healthCheck({}, within10s)

  assert.match(title, /qdrant/i)
  assert.match(version, /^1\.\d+\.\d+/)
})

test('a collection tells its configuration, its payload indexes and its points', async () => {
  const { result } = await collections.get({ collectionName }, within10s)

  const vectors = result?.config?.params?.vectorsConfig?.config
  assert.equal(vectors?.case === 'paramsMap' && vectors.value.map.dense?.size, BigInt(dimensions))
  assert.deepEqual(Object.keys(result?.config?.params?.sparseVectorsConfig?.map ?? {}), ['terms'])
  const tenant = result?.payloadSchema.tenant?.params?.indexParams
  assert.equal(tenant?.case === 'keywordIndexParams' && tenant.value.isTenant, true)
  assert.ok(Number(result?.pointsCount) >= corpus.length)
})

test('insert_only never writes over a point, and says completed all the same', async () => {
  await put(1000, { fence: 1n })

  const answer = await put(1000, { fence: 2n }, { updateMode: UpdateMode.InsertOnly })

  assert.equal(answer.result?.status, UpdateStatus.Completed)
  assert.deepEqual(await read(1000), { fence: 1n })
})

test('update_only with the filter of what was read replaces exactly that', async () => {
  await put(1001, { fence: 7n })

  const stale = await put(1001, { fence: 9n }, { updateMode: UpdateMode.UpdateOnly, updateFilter: fence(6n) })
  const afterStale = await read(1001)
  await put(1001, { fence: 8n }, { updateMode: UpdateMode.UpdateOnly, updateFilter: fence(7n) })

  assert.equal(stale.result?.status, UpdateStatus.Completed)
  assert.deepEqual(afterStale, { fence: 7n })
  assert.deepEqual(await read(1001), { fence: 8n })
})

test('update_only does not insert a point that is missing; a filter alone does', async () => {
  await put(1002, { fence: 1n }, { updateMode: UpdateMode.UpdateOnly, updateFilter: fence(0n) })
  await put(1003, { fence: 1n }, { updateFilter: fence(0n) })

  assert.equal(await read(1002), undefined)
  assert.deepEqual(await read(1003), { fence: 1n })
})

test('of many writers with the same fence exactly one wins', async () => {
  await put(1004, { fence: 0n, writer: 'none' })

  await Promise.all(
    Array.from({ length: 12 }, (_, i) =>
      put(1004, { fence: 1n, writer: `w${i}` }, { updateMode: UpdateMode.UpdateOnly, updateFilter: fence(0n) }),
    ),
  )

  const winner = await read(1004)
  assert.equal(winner?.fence, 1n)
  assert.match(String(winner?.writer), /^w\d+$/)
})

test('a batch of updates answers one status per operation and applies them in their order', async () => {
  const operations = [
    { operation: { case: 'upsert' as const, value: { points: [point(1010, {}, { step: 1n }), point(1011, {})] } } },
    {
      operation: {
        case: 'setPayload' as const,
        value: { payload: payload({ more: true }), pointsSelector: ids(1010) },
      },
    },
    { operation: { case: 'deletePoints' as const, value: { points: ids(1011) } } },
    {
      operation: {
        case: 'upsert' as const,
        value: { points: [point(1010, {}, { step: 9n })], updateMode: UpdateMode.InsertOnly },
      },
    },
  ]

  const { result } = await points.updateBatch({ ...writes, operations }, within10s)

  assert.deepEqual(
    result.map(({ status }) => status),
    operations.map(() => UpdateStatus.Completed),
  )
  assert.deepEqual(await read(1010), { step: 1n, more: true })
  assert.equal(await read(1011), undefined)
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

test('points are deleted by ids and by filter, and one that is missing is no error', async () => {
  await points.upsert(
    { ...writes, points: [1020, 1021, 1022].map((n) => point(n, {}, { kind: 'doomed', n: BigInt(n) })) },
    within10s,
  )

  await points.delete({ ...writes, points: ids(1020, 99_999) }, within10s)
  const one = await exists(1020, 1021, 1022)
  const filter = { must: [is('kind', 'doomed'), is('n', 1021n)] }
  await points.delete({ ...writes, points: { pointsSelectorOneOf: { case: 'filter', value: filter } } }, within10s)

  assert.deepEqual(one, [1021, 1022])
  assert.deepEqual(await exists(1020, 1021, 1022), [1022])
})

test('set payload adds, overwrite payload replaces', async () => {
  await put(1030, { a: 1n, b: 'two' })

  await points.setPayload(
    { ...writes, payload: payload({ b: 'three', c: true }), pointsSelector: ids(1030) },
    within10s,
  )
  const set = await read(1030)
  await points.overwritePayload({ ...writes, payload: payload({ d: 0.5 }), pointsSelector: ids(1030) }, within10s)

  assert.deepEqual(set, { a: 1n, b: 'three', c: true })
  assert.deepEqual(await read(1030), { d: 0.5 })
})

test('a payload comes back with its types', async () => {
  const fields = {
    text: 'Größe 漢字 🙂 \u0000 "quoted"',
    empty: '',
    integer: 9_007_199_254_740_993n,
    negative: -1n,
    double: 0.1,
    round: 3.0,
    yes: true,
    no: false,
    nothing: null,
    list: [1n, 'two', 3.5, [false], {}],
    map: { a: { b: [null] }, 'key with space': 'x' },
    none: [],
  }

  await put(1031, fields)

  assert.deepEqual(await read(1031), fields)
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

test('a request that is wrong is refused with the reason, and writes nothing', async () => {
  const nan = [Number.NaN, ...Array.from({ length: dimensions - 1 }, () => 0)]
  const bad: [string, Vectors, Code][] = [
    ['NaN', { dense: nan }, Code.InvalidArgument],
    ['infinite', { dense: nan.map(() => Number.POSITIVE_INFINITY) }, Code.InvalidArgument],
    ['wrong dimension', { dense: [1, 2] }, Code.InvalidArgument],
    [
      'an index twice',
      {
        terms: [
          [1, 1],
          [1, 2],
        ],
      },
      Code.InvalidArgument,
    ],
  ]

  for (const [name, vectors, code] of bad) {
    await assert.rejects(points.upsert({ ...writes, points: [point(1040, vectors)] }, within10s), hasCode(code), name)
  }

  assert.deepEqual(await exists(1040), [])
})

test('an error has the code that says whose it is', async () => {
  const missing = { collectionName: `${collectionName}-none` }
  const query = nearest(unit(random(1)))

  await assert.rejects(points.query({ ...missing, query, using: 'dense' }, within10s), hasCode(Code.NotFound))
  await assert.rejects(points.upsert({ ...missing, points: [point(1, {})] }, within10s), hasCode(Code.NotFound))
  await assert.rejects(collections.get(missing, within10s), hasCode(Code.NotFound))
  await assert.rejects(collections.create(createRequest(collectionName, 4), within10s), hasCode(Code.AlreadyExists))
  await assert.rejects(points.query({ collectionName, query, using: 'none' }, within10s), hasCode(Code.InvalidArgument))
  await assert.rejects(
    points.query({ collectionName, query: nearest([1]), using: 'dense' }, within10s),
    hasCode(Code.InvalidArgument),
  )
  const unknownPoint = {
    variant: { case: 'nearest' as const, value: { variant: { case: 'id' as const, value: id(99_999) } } },
  }
  await assert.rejects(
    points.query({ collectionName, query: unknownPoint, using: 'dense' }, within10s),
    hasCode(Code.NotFound),
  )
  assert.equal((await collections.delete(missing, within10s)).result, false)
})

test('an alias moves from one collection to another in one step', async () => {
  const other = `${collectionName}-b`
  const aliasName = `${collectionName}-alias`
  await collections.create(createRequest(other, dimensions), within10s)
  await collections.updateAliases({ actions: [createAlias(collectionName, aliasName)] }, within10s)
  const before = await exactCount(aliasName)

  const deleteAlias = { action: { case: 'deleteAlias' as const, value: { aliasName } } }
  await collections.updateAliases({ actions: [deleteAlias, createAlias(other, aliasName)] }, within10s)
  const failing = [createAlias(collectionName, aliasName), createAlias('no-such-collection', `${aliasName}-2`)]
  await assert.rejects(collections.updateAliases({ actions: failing }, within10s), hasCode(Code.NotFound))

  assert.ok(before >= corpus.length)
  assert.equal(await exactCount(aliasName), 0)
  const { aliases } = await collections.listCollectionAliases({ collectionName: other }, within10s)
  assert.deepEqual(
    aliases.map((alias) => alias.aliasName),
    [aliasName],
  )
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
const fence = (wanted: bigint) => ({ must: [is('fence', wanted)] })
const all = (...must: ReturnType<typeof is>[]) => ({ conditionOneOf: { case: 'filter' as const, value: { must } } })
const hasCode = (code: Code) => (error: unknown) => error instanceof ConnectError && error.code === code

const createAlias = (to: string, aliasName: string) => ({
  action: { case: 'createAlias' as const, value: { collectionName: to, aliasName } },
})

function put(n: number, fields: Parameters<typeof payload>[0], how: object = {}) {
  return points.upsert({ ...writes, points: [point(n, {}, fields)], ...how }, within10s)
}

async function read(n: number) {
  const { result } = await points.get({ collectionName, ids: [id(n)], withPayload: allPayload }, within10s)
  return result[0] && contents(result[0].payload)
}

async function exists(...numbers: number[]) {
  const { result } = await points.get({ collectionName, ids: numbers.map(id) }, within10s)
  return result.map(numberOf)
}

async function count(filter: { must?: object[]; should?: object[]; mustNot?: object[] }) {
  const within = { ...filter, must: [...searched, ...(filter.must ?? [])] }
  return Number((await points.count({ collectionName, filter: within, exact: true }, within10s)).result?.count)
}

async function exactCount(name: string) {
  return Number((await points.count({ collectionName: name, exact: true }, within10s)).result?.count)
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
