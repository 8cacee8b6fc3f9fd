/** What Freshet writes to a Qdrant and what it is told. True of the embedded one and of the server, 1.19. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Code, ConnectError } from '@connectrpc/connect'
import { FieldType, UpdateMode, UpdateStatus } from '@qdrant/js-client-grpc'
import { random } from '../../../test/random.ts'
import { localSettings } from '../settings.ts'
import {
  allPayload,
  connect,
  contents,
  createRequest,
  id,
  ids,
  is,
  nearest,
  payload,
  point,
  type Vectors,
} from './requests.ts'

const { portBase, qdrantUrl } = localSettings(process.env)
const { points, collections, service } = connect(qdrantUrl ?? `http://127.0.0.1:${portBase + 34}`)
const within10s = { timeoutMs: 10_000 }
const collectionName = `embedded-test-${process.pid}-${Date.now()}`
const writes = { collectionName, wait: true }
const dimensions = 16

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
  await put(1, { tenant: 'a' })

  const { result } = await collections.get({ collectionName }, within10s)

  const vectors = result?.config?.params?.vectorsConfig?.config
  assert.equal(vectors?.case === 'paramsMap' && vectors.value.map.dense?.size, BigInt(dimensions))
  assert.deepEqual(Object.keys(result?.config?.params?.sparseVectorsConfig?.map ?? {}), ['terms'])
  const tenant = result?.payloadSchema.tenant?.params?.indexParams
  assert.equal(tenant?.case === 'keywordIndexParams' && tenant.value.isTenant, true)
  assert.equal(result?.pointsCount, 1n)
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

test('of many writers with the same fence exactly one wins, and no later one', async () => {
  await put(1004, { fence: 0n, writer: 'none' })
  const race = (round: string) =>
    Promise.all(
      Array.from({ length: 12 }, (_, i) =>
        put(
          1004,
          { fence: 1n, writer: `${round}-${i}` },
          { updateMode: UpdateMode.UpdateOnly, updateFilter: fence(0n) },
        ),
      ),
    )

  await race('first')
  const winner = await read(1004)
  await race('second')

  assert.equal(winner?.fence, 1n)
  assert.match(String(winner?.writer), /^first-/)
  assert.deepEqual(await read(1004), winner)
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

  assert.ok(before > 0)
  assert.equal(await exactCount(aliasName), 0)
  const { aliases } = await collections.listCollectionAliases({ collectionName: other }, within10s)
  assert.deepEqual(
    aliases.map((alias) => alias.aliasName),
    [aliasName],
  )
})

function unit(next: () => number): number[] {
  const raw = Array.from({ length: dimensions }, () => next() - 0.5)
  const length = Math.hypot(...raw)
  return raw.map((x) => Math.fround(x / length))
}

const fence = (wanted: bigint) => ({ must: [is('fence', wanted)] })

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

async function exactCount(name: string) {
  return Number((await points.count({ collectionName: name, exact: true }, within10s)).result?.count)
}

function numberOf({
  id,
}: {
  id?: { pointIdOptions: { case?: string | undefined; value?: unknown } } | undefined
}): number {
  return Number(id?.pointIdOptions.value)
}
