import { fromBinary } from '@bufbuild/protobuf'
import { UpdateBatchPointsSchema } from '@qdrant/js-client-grpc'
import { indexVectors } from '../../processors/index-vectors.ts'
import { indexed } from '../../schemas/topics.ts'
import type { Role } from '../platform.ts'
import { until } from '../until.ts'
import { watchCommits } from './commits.ts'
import { appliedWithoutReceipt } from './index-state.ts'
import { apis } from './kafka-line.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 4 }

/** What is in the index and has no receipt yet is answered for by whoever comes after. */
export const lostReceipts: Row = {
  id: 'F31',
  title: 'seek, restart and rebalance between the index write and its receipts',
  sets: ['full'],
  needs: { lines: ['kafka', 'qdrant'] },
  async run(context) {
    const { set, platform, load, healed, atRest, count, expect, say } = context
    await load.write(150)
    await atRest()
    const commits = watchCommits(platform)
    for (let round = 0; round < rounds[set]; round++)
      for (const [what, interrupt] of Object.entries({ seek, restart, rebalance })) {
        const open = await interrupt(context)
        count(`records in the index without a receipt at a ${what}`, open)
        expect(open > 0, `at a ${what} every record had its receipt: the row says nothing about it`)
        say(`${what}: ${open} records without a receipt; all was there ${(await healed()).toFixed(1)} s after`)
      }
    const { seen, early } = await commits.stop()
    count('commits seen', seen)
    expect(seen > 0, 'no commit was seen: the row says nothing about them')
    expect(early.length === 0, `${early.length} early commits, the first: ${early[0]}`)
  },
}

/** The answer to the write of a marker is lost: the task begins again where the marker, or what is committed, says. */
async function seek({ platform, workers, qdrantLine, load }: Context): Promise<number> {
  let open = 0
  const lines = workers.map(qdrantLine)
  for (const line of lines)
    line.treat(async ({ method, message }, pass) => {
      const reply = await pass()
      if (open > 0 || method !== 'UpdateBatch' || !writesMarker(message)) return reply
      open = await appliedWithoutReceipt(platform)
      return open > 0 ? 'hang up' : reply
    })
  await load.write(100)
  await until('a marker is written before its receipts', () => open > 0)
  for (const line of lines) line.heal()
  return open
}

/** The last operation of a batch that settles is the marker, by itself or behind a deletion. */
function writesMarker(message: Uint8Array): boolean {
  const cases = fromBinary(UpdateBatchPointsSchema, message).operations.map(({ operation }) => operation.case)
  return cases.length === 1 || cases.includes('deletePoints')
}

/** Killed while its receipts are on the way; they never arrive. */
async function restart(context: Context): Promise<number> {
  const { worker, open } = await withReceiptsHeld(context)
  await context.signal(worker, 'SIGKILL')
  await context.startWorker()
  return open
}

/** Another takes its partitions while its receipts are on the way; they come late. */
async function rebalance(context: Context): Promise<number> {
  const { worker, open } = await withReceiptsHeld(context)
  const other = await context.startWorker()
  await until(
    'the new one has partitions',
    async () => (await other.metric('freshet_low_offset', { processor: indexVectors.name })) > 0,
  )
  context.kafkaLine(worker).heal()
  await context.signal(other, 'SIGTERM')
  return open
}

/** Until a worker has written to the index what has no receipt yet, and cannot send it. */
async function withReceiptsHeld({
  platform,
  workers,
  kafkaLine,
  load,
}: Context): Promise<{ worker: Role; open: number }> {
  const name = platform.topic(indexed)
  const lines = workers.map((worker) => ({ worker, line: kafkaLine(worker), before: kafkaLine(worker).held }))
  for (const { line } of lines)
    line.treat(({ api, bytes }) => (api === apis.produce && bytes.includes(name) ? 'hold' : 'pass'))
  await load.write(100)
  let open = 0
  await until('receipts are held', async () => {
    open = await appliedWithoutReceipt(platform)
    return open > 0 && lines.some(({ line, before }) => line.held > before)
  })
  const { worker } = lines.find(({ line, before }) => line.held > before)!
  for (const each of lines) if (each.worker !== worker) each.line.heal()
  return { worker, open }
}
