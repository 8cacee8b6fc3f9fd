import { groupOf } from '../../streams/runner.ts'
import { kindOf, pointsOf } from '../index-points.ts'
import type { Platform, Role } from '../platform.ts'
import { handled, stages } from './handled.ts'
import type { Row } from './row.ts'

const records = { fast: 600, full: 3_000 }
const EMBEDDED_AGAIN_MAX = 0.05

/** Nothing changes in the index, and what it knows is not embedded again. */
export const redelivery: Row = {
  id: 'F16',
  title: 'the whole log of documents delivered again',
  sets: ['fast', 'full'],
  // Without a cache only the index knows.
  needs: { env: { FRESHET_VECTOR_CACHE_BYTES_MAX: '0' } },
  async run({ set, platform, load, workers, startWorker, signal, healed, atRest, count, most, expect }) {
    await load.write(records[set])
    await atRest()
    const embedded = await embeddedBy(workers)
    const before = await servedPoints(platform)
    for (const worker of [...workers]) await signal(worker, 'SIGTERM')
    await rewind(platform)

    await Promise.all([startWorker(), startWorker()])
    await handled(platform, workers)
    await healed()

    const again = await embeddedBy(workers)
    const after = await servedPoints(platform)
    count('chunks embedded at first', embedded)
    count('chunks embedded again', again)
    most('share not embedded again', 1 - again / Math.max(1, embedded))
    expect(embedded > 0, 'no chunk was embedded: the row says nothing')
    expect(again <= EMBEDDED_AGAIN_MAX * embedded, `${again} of ${embedded} chunks were embedded again`)
    expect(before.size > 0, 'nothing is served: the row says nothing')
    const changed = [...new Set([...before.keys(), ...after.keys()])].filter((id) => before.get(id) !== after.get(id))
    expect(
      changed.length === 0,
      `the index is not as it was before: ${changed.length} points, ${before.get(changed[0]!)} is ${after.get(changed[0]!)}`.slice(
        0,
        2_000,
      ),
    )
  },
}

const embeddedBy = async (workers: readonly Role[]): Promise<number> => {
  const each = await Promise.all(workers.map((worker) => worker.metric('freshet_chunks_total', { from: 'model' })))
  return each.reduce((sum, chunks) => sum + chunks, 0)
}

/**
 * Manifests, and the chunks that are served, as text by id. Not the markers, whose time is that of their writing, and not what a worker left that lost a
 * partition in the midst of a batch: the audit of the workers may have removed it meanwhile.
 */
async function servedPoints(platform: Platform): Promise<Map<string, string>> {
  const points = await pointsOf(platform)
  const manifests = points.filter((point) => kindOf(point) === 'manifest')
  const contents = new Map(manifests.map(({ payload }) => [payload.key, payload.content]))
  const chunks = points.filter(({ payload }) => payload.kind === 'chunk' && contents.get(payload.key) === payload.fence)
  return new Map([...manifests, ...chunks].map((point) => [point.id, JSON.stringify(point)]))
}

/** Both groups read from the first offset again. */
async function rewind({ scope, broker, partitions, topic: nameOf }: Platform): Promise<void> {
  for (const [processor, topic] of stages) {
    const name = nameOf(topic)
    const positions = Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition, offset: 0 }))
    await broker.admin.resetCommitted(groupOf(scope, processor), positions)
  }
}
