import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { denseName, idText, manifestId } from '../connectors/qdrant/points.ts'
import { repositoryDir } from '../infra/local/settings.ts'
import type { AuditReport } from '../maintenance/audit.ts'
import { servingKey } from '../processors/collections.ts'
import { control } from '../schemas/topics.ts'
import { positionsOf } from '../search/freshness.ts'
import { atRest } from './at-rest.ts'
import { kindOf, type Point, pointsOf } from './index-points.ts'
import { openLoad } from './load.ts'
import { differences } from './oracle/platform-world.ts'
import { openPlatform, type Platform } from './platform.ts'
import { until } from './until.ts'

test('freshet audit finds what was done to the index, repairs it beside traffic, and says what it is in sync with', async () => {
  await using platform = await openPlatform({ env: { FRESHET_AUDIT_EVERY_MS: '3600000' } })
  await platform.worker()
  const load = await openLoad(platform, 20261124)
  await load.write(400)
  await atRest(platform)

  const before = await freshetAudit(platform)
  const done = await harm(platform)
  const seen = await freshetAudit(platform)
  const [repaired] = await Promise.all([freshetAudit(platform, '--repair'), load.write(200)])
  await atRest(platform)
  const after = await freshetAudit(platform, '--deep', '20')

  assert.deepEqual([before.code, foundIn(before.report)], [0, {}])
  assert.deepEqual([seen.code, foundIn(seen.report)], [1, done])
  // A document that the traffic replaced meanwhile needs no repair.
  const left = Object.values(repaired.report.kinds).reduce((sum, kind) => sum + kind.left, 0)
  assert.deepEqual([repaired.code, left], [0, 0])
  assert.deepEqual([after.code, foundIn(after.report)], [0, {}])
  assert.equal(Object.keys(positionsOf(after.report.token)!.documents).length, platform.partitions)
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
})

test('a worker repairs what happens to the index by itself, and says so', async () => {
  await using platform = await openPlatform({
    env: { FRESHET_AUDIT_EVERY_MS: '1000', FRESHET_AUDIT_POINTS_PER_SECOND_MAX: '2000' },
  })
  const worker = await platform.worker()
  const load = await openLoad(platform, 20261125)
  await load.write(300)
  await atRest(platform)

  const done = await harm(platform)

  // An audit that is under way meanwhile may take a document whose points change one by one for something else.
  const wanted = Object.values(done).reduce((sum, count) => sum + count, 0)
  await until('all is repaired', async () => {
    const repaired = await worker.metric('freshet_audit_repaired_total')
    return repaired >= wanted || `${repaired} of ${wanted}`
  })
  await until('every partition is in sync again', async () => {
    const ages = await worker.metric('freshet_audit_in_sync_age_seconds')
    return (ages > 0 && (await differences(platform)).served.length === 0) || `ages ${ages}`
  })
  assert.deepEqual(await differences(platform), { served: [], garbage: [] })
  assert.ok((await worker.metric('freshet_audit_points_total')) > 0)
})

test('freshet audit refuses a partition and a collection that are not there', async () => {
  await using platform = await openPlatform()
  await platform.worker()

  const partition = await freshet(platform, ['audit', '--partition', '99'])
  const collection = await freshet(platform, ['audit', '--collection', 'nobodys'])

  assert.deepEqual([partition.code, collection.code], [2, 1])
  assert.match(partition.err, /--partition: is 99, and there are 0 to 2/)
  assert.match(collection.err, /collection: there is no nobodys/)
})

test('freshet audit compares the collection that answers, as control says', async () => {
  await using platform = await openPlatform()
  const worker = await platform.worker()
  const first = await freshetAudit(platform)
  // Nobody makes the collection that is named then.
  await worker.kill('SIGTERM')
  const collection = `${platform.collection}.g2`
  const value = platform.serde.encode(control, { serving: { space: platform.engine.space.id, collection } })
  const producer = await platform.broker.producer()

  await producer.send([{ topic: platform.topic(control), partition: 0, key: servingKey, value }])
  const { code, err } = await freshet(platform, ['audit'])

  assert.equal(first.report.collection, platform.collection)
  assert.deepEqual([code, err.includes(`there is no ${collection}`)], [1, true])
})

/** Some of what can happen to points, each to another document. */
async function harm({ qdrant, collection, engine }: Platform): Promise<Record<string, number>> {
  const points = await pointsOf({ qdrant, collection } as Platform)
  const manifests = points.filter((point) => kindOf(point) === 'manifest' && point.payload.deleted === false)
  const [chunkless, missing, emptied, turned, mismarked, spaceless] = manifests.map(({ payload }) =>
    String(payload.key),
  )
  const chunkOf = (key: string | undefined): Point =>
    points.find(({ payload }) => payload.kind === 'chunk' && payload.key === key)!
  const select = (...ids: string[]) => ({
    pointsSelectorOneOf: {
      case: 'points' as const,
      value: { ids: ids.map((value) => ({ pointIdOptions: { case: 'uuid' as const, value } })) },
    },
  })
  const shared = { collectionName: collection, wait: true }
  await qdrant.points.delete({ ...shared, points: select(chunkOf(chunkless).id, idText(manifestId(missing!))) })
  await qdrant.points.clearPayload({ ...shared, points: select(chunkOf(emptied).id) })
  await qdrant.points.setPayload({
    ...shared,
    payload: { title: { kind: { case: 'stringValue', value: 'another' } } },
    pointsSelector: select(chunkOf(mismarked).id),
  })
  await qdrant.points.deleteVectors({
    ...shared,
    pointsSelector: select(chunkOf(spaceless).id),
    vectors: { names: [denseName(engine.space.id)] },
  })
  const data = Array.from({ length: engine.space.dimensions }, (_, i) => (i === 0 ? 1 : 0))
  await qdrant.points.updateVectors({
    ...shared,
    points: [
      {
        id: { pointIdOptions: { case: 'uuid', value: chunkOf(turned).id } },
        vectors: {
          vectorsOptions: {
            case: 'vectors',
            value: { vectors: { [denseName(engine.space.id)]: { vector: { case: 'dense', value: { data } } } } },
          },
        },
      },
    ],
  })
  return { missing: 2, 'wrong-space': 1, corrupted: 3 }
}

async function freshetAudit(platform: Platform, ...args: string[]): Promise<{ code: number; report: AuditReport }> {
  const { code, out, err } = await freshet(platform, ['audit', '--json', ...args])
  assert.equal(err, '')
  return { code, report: JSON.parse(out) }
}

function freshet({ urls, scope, engine }: Platform, args: readonly string[]) {
  const env = {
    ...process.env,
    FRESHET_KAFKA: urls.kafka,
    FRESHET_REGISTRY: urls.registry,
    FRESHET_QDRANT_URL: urls.qdrant,
    FRESHET_TOPIC_PREFIX: scope.prefix,
    FRESHET_ENGINE: engine.space.model === 'hash' ? 'hash' : 'model',
  }
  return new Promise<{ code: number; out: string; err: string }>((resolve) => {
    execFile(process.execPath, ['cli/main.ts', ...args], { cwd: repositoryDir, env }, (error, out, err) =>
      resolve({ code: error === null ? 0 : Number(error.code), out, err }),
    )
  })
}

const foundIn = ({ kinds }: AuditReport): Record<string, number> =>
  Object.fromEntries(Object.entries(kinds).flatMap(([kind, { found }]) => (found > 0 ? [[kind, found]] : [])))
