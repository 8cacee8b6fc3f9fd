import { repositoryDir } from '../../infra/local/settings.ts'
import { cleanDocument } from '../../processors/clean-text.ts'
import { documents, indexed, ingestPositions, progress, redo } from '../../schemas/topics.ts'
import { kindOf, pointsOf } from '../index-points.ts'
import { loadKeys } from '../load.ts'
import type { LoadEvent } from '../load-events.ts'
import { startProcess } from '../process.ts'
import { recordsOf, valuesOf } from '../topic-records.ts'
import { until } from '../until.ts'
import { handled } from './handled.ts'
import { positionsAt } from './positions.ts'
import { shiftedClock } from './preloads.ts'
import type { Context, Row } from './row.ts'
import { compactOften, configure } from './topic-surgery.ts'
import { over, shown } from './worker-states.ts'

const rounds = { fast: 1, full: 2 }
/** Longer than `documents` keeps deletions: a day, and a week after that. */
const AWAY_MS = 10 * 24 * 3_600_000
const FOR_EVER = String(Number.MAX_SAFE_INTEGER)
const DELETED = 12
const COMPACTED_MS_MAX = 180_000

/** Kafka forgets deletions while nobody runs; who comes back days later says so, and finds by comparing what is to be deleted. */
export const lostTombstones: Row = {
  id: 'F19',
  title: 'deletions compacted away while no worker ran, for days',
  sets: ['full'],
  needs: { stack: 'own', lines: ['qdrant'] },
  async run(context) {
    const { set, platform, load, workers, healed, atRest, say } = context
    await compactOften(platform, 500)
    // Of clocks of later days: Kafka refuses records that are an hour ahead of its own, and compacts what is days older.
    for (const topic of [indexed, ingestPositions, progress, redo])
      await configure(platform, topic, {
        'message.timestamp.after.max.ms': FOR_EVER,
        'segment.ms': FOR_EVER,
        ...(topic !== redo && { 'max.compaction.lag.ms': FOR_EVER }),
      })
    await load.write(300)
    for (let round = 1; round <= rounds[set]; round++) {
      await atRest()
      const orphans = await deletedUnseen(context)
      await backAfter(round * AWAY_MS, orphans, context)
      say(`all was there ${(await healed()).toFixed(1)} s after the comparison could begin`)
      await over(workers, 'tombstones-may-be-lost')
      await load.write(100)
    }
  },
}

/** While no worker runs documents are deleted, and compaction leaves nothing of it. Resolves with those that are orphans in the index then. */
async function deletedUnseen(context: Context): Promise<readonly string[]> {
  const { platform, load, workers, signal, wereThere, count, expect, next } = context
  for (const worker of [...workers]) await signal(worker, 'SIGTERM')
  const seen = await positionsAt(platform, 'documents')
  for (const { partition, end } of await platform.broker.admin.offsets(platform.topic(documents)))
    expect(seen.get(partition) === end, `documents/${partition} was seen up to ${seen.get(partition)} of ${end}`)
  await load.write(200)
  const served = await servedKeys(context)
  const own = ['acme', 'zenith'].flatMap((tenant) => loadKeys(tenant, 'documents')).filter((key) => served.has(key))
  const chosen = own
    .map((key) => ({ key, at: next() }))
    .sort((a, b) => a.at - b.at)
    .slice(0, DELETED)
    .map(({ key }) => key)
  await load.send(chosen.map(deletion))

  const lie = async () => {
    const records = await recordsOf(platform, documents)
    wereThere(records, seen)
    return records
  }
  const before = await lie()
  await configure(platform, documents, compactedAtOnce)
  const fillers = fillersOf(context)
  await until(
    'the deletions are compacted away',
    async () => {
      // What is written last of a partition is not compacted, and only a write begins another segment.
      await load.send(fillers())
      const left = (await lie()).filter(({ key, value }) => value === null && chosen.includes(String(key)))
      return left.length === 0 || `${left.length} of ${chosen.length} are left`
    },
    COMPACTED_MS_MAX,
  )
  await configure(platform, documents)
  const after = await lie()
  const there = new Set(after.map(({ partition, offset }) => `${partition}/${offset}`))
  const gone = before.filter(({ partition, offset }) => !there.has(`${partition}/${offset}`))
  count('records compacted away', gone.length)
  count('of them unseen', gone.filter(({ partition, offset }) => offset >= seen.get(partition)!).length)
  const atHome = after.filter(({ key, partition }) => platform.partitionOf(String(key)) === partition)
  const known = new Set(atHome.map(({ key }) => String(key)))
  const orphans = [...served].filter((key) => !known.has(key))
  count('orphans', orphans.length)
  expect(
    chosen.every((key) => orphans.includes(key)),
    'a document whose deletion was compacted away is no orphan: the row says little',
  )
  return orphans
}

/** Workers whose clocks say how long nobody ran, and which cannot compare yet. */
async function backAfter(awayMs: number, orphans: readonly string[], context: Context): Promise<void> {
  const { platform, workers, startWorker, qdrantLine, count, expect } = context
  const before = await watermarks(context)
  const refused = { status: '14', message: null, trailers: { 'grpc-message': 'not now' } }
  const start = () =>
    startWorker(shiftedClock(awayMs), async ({ method }, pass) => (method === 'Scroll' ? refused : pass()))
  await Promise.all([start(), start()])
  const subjects = [...before.keys()].map((partition) => `embed-documents on ${platform.topic(documents)}/${partition}`)
  await shown(workers, 'tombstones-may-be-lost', { subjects, blocking: false })
  count('partitions that said so', subjects.length)
  for (const subject of subjects)
    expect(
      workers.some((worker) => isLogged(worker.log(), subject)),
      `no log line says that ${subject} may have missed deletions`,
    )
  await handled(platform, workers)
  const status = await statusOf(context)
  expect(/tombstones-may-be-lost/.test(status), `freshet status does not say it: ${status.slice(0, 400)}`)
  for (const [partition, { low, state }] of await watermarks(context)) {
    const held = before.get(partition)!.low
    expect(low === held, `the watermark of partition ${partition} went from ${held} to ${low} before the comparison`)
    expect(state === 'tombstones-may-be-lost', `progress of partition ${partition} says ${state}`)
  }
  const served = await servedKeys(context)
  expect(
    orphans.every((key) => served.has(key)),
    'an orphan went away before anything was compared',
  )
  for (const worker of workers) qdrantLine(worker).heal()
  await until(
    'the orphans are gone',
    async () => {
      const still = await servedKeys(context)
      const left = orphans.filter((key) => still.has(key))
      return left.length === 0 || left.join(', ')
    },
    COMPACTED_MS_MAX,
  )
}

const compactedAtOnce = {
  'segment.ms': '500',
  'min.compaction.lag.ms': '0',
  'max.compaction.lag.ms': '500',
  'delete.retention.ms': '100',
  'min.cleanable.dirty.ratio': '0.01',
}

const deletion = (key: string): LoadEvent => ({
  door: 'documents',
  key,
  value: null,
  meant: { kind: 'deletion' },
  misplaced: false,
})

/** One small document for each partition, new each time. */
function fillersOf({ platform: { serde, partitions, partitionOf } }: Context): () => LoadEvent[] {
  const keys = new Map<number, string>()
  for (let i = 0; keys.size < partitions; i++) keys.set(partitionOf(`acme/filler-${i}`), `acme/filler-${i}`)
  let count = 0
  return () =>
    [...keys.values()].map((key) => {
      const text = `Filler ${count++} of ${key}.`
      const document = cleanDocument({
        text,
        contentType: null,
        title: null,
        url: null,
        language: null,
        attributes: {},
      })
      const value = serde.encode(documents, document)
      return { door: 'documents', key, value, meant: { kind: 'document', document }, misplaced: false }
    })
}

async function servedKeys({ platform }: Context): Promise<Set<string>> {
  const manifests = (await pointsOf(platform)).filter((point) => kindOf(point) === 'manifest')
  return new Set(manifests.filter(({ payload }) => payload.deleted !== true).map(({ payload }) => String(payload.key)))
}

/** What `progress` said last of each partition. */
async function watermarks({ platform }: Context): Promise<Map<number, { low: number; state: string }>> {
  return new Map((await valuesOf(platform, progress)).map((told) => [told.partition, told]))
}

/** What a person sees who asks for it. */
async function statusOf({ platform: { urls, scope, partitions }, workers }: Context): Promise<string> {
  const command = startProcess('freshet', process.execPath, ['cli/main.ts', 'status'], {
    cwd: repositoryDir,
    env: {
      FRESHET_KAFKA: urls.kafka,
      FRESHET_REGISTRY: urls.registry,
      FRESHET_QDRANT_URL: urls.qdrant,
      FRESHET_TOPIC_PREFIX: scope.prefix,
      FRESHET_PARTITIONS: String(partitions),
      FRESHET_WORKER_PORT: new URL(workers[0]!.adminUrl).port,
    },
  })
  await command.ended
  return command.log()
}

const isLogged = (log: string, subject: string): boolean =>
  log.split('\n').some((line) => line.includes('"state":"tombstones-may-be-lost"') && line.includes(`"${subject}"`))
