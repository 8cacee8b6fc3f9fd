import { setTimeout as delay } from 'node:timers/promises'
import { fromBinary } from '@bufbuild/protobuf'
import { UpdateBatchPointsSchema } from '@qdrant/js-client-grpc'
import { until } from '../until.ts'
import { earlyNow, watchCommits } from './commits.ts'
import type { QdrantCall } from './qdrant-line.ts'
import type { Context, Row } from './row.ts'

/** Each kills Qdrant once in a write of chunks and manifests, and once in a deletion of what was left over. */
const rounds = { fast: 2, full: 8 }

export const killedIndex: Row = {
  id: 'F13',
  title: 'Qdrant killed in an upsert, and in a delete',
  sets: ['fast', 'full'],
  needs: { qdrant: 'own', lines: ['qdrant'] },
  async run(context) {
    const { set, platform, load, healed, atRest, count, expect, say } = context
    await load.write(150)
    await atRest()
    const commits = watchCommits(platform)
    for (let round = 0; round < rounds[set]; round++)
      for (const kind of ['upsert', 'delete'] as const) {
        const answered = await killIn(context, kind)
        count(`kills in ${kind}`)
        if (answered) count('writes that were done and not answered')
        say(`killed in ${kind}: all was there ${(await healed()).toFixed(1)} s after`)
      }
    const { seen, early } = await commits.stop()
    count('commits seen', seen)
    expect(seen > 0, 'no commit was seen: the row says nothing about them')
    expect(early.length === 0, `${early.length} early commits, the first: ${early[0]}`)
  },
}

/** Kills it while such a write is under way, and starts it again. Answers whether Qdrant had done it, and the writer was not told. */
async function killIn(context: Context, kind: 'upsert' | 'delete'): Promise<boolean> {
  const { platform, workers, qdrantLine, qdrant, load, next, expect } = context
  let killed: Promise<void> | null = null
  let answered = false
  let refused = 0
  const lines = workers.map(qdrantLine)
  for (const line of lines)
    line.treat(async (call, pass) => {
      if (killed !== null) refused++
      else if (!holds(call, kind)) return pass()
      else {
        const reply = pass().then(
          () => {
            answered = true
          },
          () => {},
        )
        // Before it has read the call, in the midst of it, or when its answer is on the way.
        killed = delay(AFTER_MS_MAX * next()).then(() => qdrant.stop('SIGKILL'))
        await killed
        await reply
      }
      return 'hang up'
    })
  const flow = load.flow(80)
  await until(`a write with ${kind} comes`, () => killed !== null)
  await killed
  await until('the workers try again', () => refused >= REFUSED_MIN || `${refused} times`)
  await qdrant.start()
  // Nobody has written since: what is committed now was committed by what was there before.
  const early = await earlyNow(platform)
  expect(early.length === 0, `after a kill in ${kind}: ${early[0]}`)
  for (const line of lines) line.heal()
  await flow.stop()
  return answered
}

/** Time enough to commit what must not be. */
const REFUSED_MIN = 8
const AFTER_MS_MAX = 12

function holds({ method, message }: QdrantCall, kind: 'upsert' | 'delete'): boolean {
  if (method !== 'UpdateBatch') return false
  const cases = fromBinary(UpdateBatchPointsSchema, message).operations.map(({ operation }) => operation.case)
  // A marker is an upsert by itself: a write of chunks has manifests behind it.
  return kind === 'delete' ? cases.includes('deletePoints') : cases.length > 1 && !cases.includes('deletePoints')
}
