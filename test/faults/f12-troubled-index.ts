import { setTimeout as delay } from 'node:timers/promises'
import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import {
  UpdateBatchPointsSchema,
  UpdateBatchResponseSchema,
  UpdateResultSchema,
  UpdateStatus,
} from '@qdrant/js-client-grpc'
import { until } from '../until.ts'
import { watchCommits } from './commits.ts'
import type { QdrantTreatment } from './qdrant-line.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 4 }
/** Calls of each kind that a round must have hurt. */
const HITS_MIN = 6

/** Nothing is committed that the index has not, however Qdrant answers. */
export const troubledIndex: Row = {
  id: 'F12',
  title: 'Qdrant slow, exhausted, answering before it has written, or gone after it has',
  sets: ['fast', 'full'],
  needs: { lines: ['qdrant'] },
  async run(context) {
    const { set, platform, load, healed, count, expect, say } = context
    await load.write(100)
    const commits = watchCommits(platform)
    for (let round = 0; round < rounds[set]; round++)
      for (const [name, trouble] of Object.entries(troubles(context))) {
        const hits = await hurt(context, trouble)
        count(`calls ${name}`, hits)
        expect(hits >= HITS_MIN, `only ${hits} calls were ${name}: the row says nothing about it`)
        say(`${name}: ${hits} calls, and all was there ${(await healed()).toFixed(1)} s after`)
      }
    const { seen, early } = await commits.stop()
    count('commits seen', seen)
    expect(seen > 0, 'no commit was seen: the row says nothing about them')
    expect(early.length === 0, `${early.length} early commits, the first: ${early[0]}`)
  },
}

/** Resolves with the number of calls that were hurt. */
async function hurt({ workers, qdrantLine, load, next }: Context, trouble: Trouble): Promise<number> {
  let hits = 0
  const lines = workers.map(qdrantLine)
  for (const line of lines)
    line.treat((call, pass) => {
      if (trouble.writesOnly && call.method !== 'UpdateBatch') return pass()
      if (next() >= SHARE_HURT) return trouble.spare?.(call, pass) ?? pass()
      hits++
      return trouble.treat(call, pass)
    })
  for (let i = 0; i < 4; i++) await load.write(40)
  // Of what is in the index already nothing more is asked. The workers need not come through while it lasts.
  for (let i = 0; i < MORE_MAX && hits < HITS_MIN; i++) {
    await load.write(10)
    await until('enough calls are hurt', () => hits >= HITS_MIN || `${hits} were`, 2_000).catch(() => {})
  }
  await trouble.over?.()
  for (const line of lines) line.heal()
  return hits
}

const SHARE_HURT = 0.5
const MORE_MAX = 10

interface Trouble {
  readonly writesOnly?: boolean
  readonly treat: QdrantTreatment
  /** The calls that are not hurt. Default: they pass. */
  readonly spare?: QdrantTreatment
  /** Resolves when nothing is under way any more. */
  over?(): Promise<void>
}

const troubles = ({ next }: Context): Record<string, Trouble> => ({
  slowed: {
    async treat(_call, pass) {
      await delay(200 + 800 * next())
      return pass()
    },
  },
  // As Qdrant does beyond a rate limit.
  'refused as too many': {
    async treat() {
      return { status: '8', message: null, trailers: { 'grpc-message': 'rate limit exceeded', 'retry-after': '1' } }
    },
  },
  'answered before they were applied': waitTimeout(),
  'applied, and the connection reset': {
    writesOnly: true,
    async treat(_call, pass) {
      await pass()
      return 'hang up'
    },
  },
})

/** Answers `wait_timeout` at once and applies the write later; in the order of the writes, as Qdrant's queue does. */
function waitTimeout(): Trouble {
  let queue: Promise<unknown> = Promise.resolve()
  const inTurn = <T>(work: () => Promise<T>): Promise<T> => {
    const done = queue.then(work)
    queue = done.catch(() => {})
    return done
  }
  return {
    writesOnly: true,
    async treat({ message }, pass) {
      void inTurn(async () => {
        await delay(APPLIED_LATER_MS)
        await pass()
      })
      const { operations } = fromBinary(UpdateBatchPointsSchema, message)
      const result = operations.map(() => create(UpdateResultSchema, { status: UpdateStatus.WaitTimeout }))
      const answer = toBinary(UpdateBatchResponseSchema, create(UpdateBatchResponseSchema, { result, time: 0 }))
      return { status: '0', message: Buffer.from(answer), trailers: {} }
    },
    spare: (_call, pass) => inTurn(pass),
    async over() {
      for (let last: unknown = null; last !== queue; ) {
        last = queue
        await last
      }
    },
  }
}

const APPLIED_LATER_MS = 250
