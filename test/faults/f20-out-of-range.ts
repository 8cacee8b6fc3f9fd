import { embedDocuments } from '../../processors/embed-documents.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { inbox, vectors } from '../../schemas/topics.ts'
import { groupOf } from '../../streams/runner.ts'
import { isLowKey } from '../../streams/topic.ts'
import { recordsOf } from '../topic-records.ts'
import { until } from '../until.ts'
import { handled } from './handled.ts'
import { positionsAt } from './positions.ts'
import type { Context, Row } from './row.ts'
import { cutBefore } from './topic-surgery.ts'
import { over, shown } from './worker-states.ts'

const rounds = { fast: 1, full: 3 }
const WAITING_MIN = 30

/** What was removed before it was indexed is named, and found again by comparing with documents; nobody does anything for it. */
export const outOfRange: Row = {
  id: 'F20',
  title: 'vectors cut before they were indexed, and the topic deleted and created again',
  sets: ['full'],
  needs: { lines: ['qdrant'] },
  async run(context) {
    const { set, load, workers, healed, atRest, say } = context
    await load.write(200)
    for (let round = 0; round < rounds[set]; round++) {
      await atRest()
      await cut(context)
      say(`cut: all was there ${(await healed()).toFixed(1)} s after`)
      await createdAgain(context)
      say(`created again: all was there ${(await healed()).toFixed(1)} s after`)
      await over(workers, 'source-recreated')
    }
  },
}

/** While no worker runs, everything that waits to be indexed is removed from the log. */
async function cut(context: Context): Promise<void> {
  const { platform, workers, signal, startWorker, count, expect } = context
  const waiting = await letWait(context)
  for (const worker of [...workers]) await signal(worker, 'SIGKILL')
  await cutBefore(
    platform,
    vectors,
    waiting.map(({ partition, end }) => ({ partition, offset: end })),
  )
  await Promise.all([startWorker(), startWorker()])
  for (const { partition } of waiting) {
    const named = new RegExp(
      `"state":"(offset-out-of-range|marker-behind-log)","subject":"index-vectors on [^"]*/${partition}"`,
    )
    const seen = () => workers.some((worker) => named.test(worker.log()))
    await until(`what is gone of vectors/${partition} is named`, seen).then(
      () => count('partitions that said what is gone'),
      (error) => expect(false, String(error)),
    )
  }
}

/** While the workers run, and what is deleted with the topic waits to be indexed. */
async function createdAgain(context: Context): Promise<void> {
  const { platform, load, workers, qdrantLine, count } = context
  const { broker, scope, partitions, topic } = platform
  await letWait(context)
  await broker.admin.deleteTopics([topic(vectors)])
  await load.write(80)
  count('stages that said that their topic is gone', (await shown(workers, 'source-recreated')).length)
  for (const worker of workers) qdrantLine(worker).heal()
  await ensureTopics(broker.admin, { scope, partitions, replicationFactor: 1 })
}

interface Waiting {
  readonly partition: number
  /** The first that is not indexed for good, and the end of the log. */
  readonly next: number
  readonly end: number
}

/** The index refuses writes; resolves when all that was written waits in `vectors`, and nothing more comes. Tells the oracle what is going to be removed. */
async function letWait({
  platform,
  load,
  workers,
  qdrantLine,
  removed,
  count,
  expect,
}: Context): Promise<readonly Waiting[]> {
  const { broker, scope, topic } = platform
  const refused = { status: '14', message: null, trailers: { 'grpc-message': 'not now' } }
  for (const worker of workers)
    qdrantLine(worker).treat(async ({ method }, pass) => (method === 'UpdateBatch' ? refused : pass()))
  await load.write(200)
  const sources = await broker.admin.offsets(topic(inbox))
  await until('inbox is ingested', async () => {
    const positions = await positionsAt(platform, 'inbox')
    return sources.every(({ partition, end }) => positions.get(partition)! >= end)
  })
  await handled(platform, workers, [embedDocuments.name])

  const committed = await broker.admin.committed(groupOf(scope, indexVectors), topic(vectors))
  const waiting = (await broker.admin.offsets(topic(vectors))).map(({ partition, end }) => ({
    partition,
    next: committed.find((each) => each.partition === partition)?.offset ?? 0,
    end,
  }))
  const records = (await recordsOf(platform, vectors)).filter(
    ({ key, partition, offset }) =>
      !isLowKey(key) && offset >= waiting.find((each) => each.partition === partition)!.next,
  )
  removed(records.map(({ headers }) => headers.position!.toString('utf8').split(':', 2).join('/')))
  count('records removed before they were indexed', records.length)
  for (const { partition } of waiting) {
    const own = records.filter((record) => record.partition === partition).length
    expect(own >= WAITING_MIN, `only ${own} records of vectors/${partition} waited: the row says little`)
  }
  return waiting
}
