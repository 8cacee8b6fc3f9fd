import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryIndex } from '../processors/memory-index.ts'
import { memoryPipeline } from '../processors/memory-pipeline.ts'
import { virtualClock } from '../streams/clock.ts'
import { Retry } from '../streams/errors.ts'
import type { Finding } from './audit-partition.ts'
import { auditContinuously, type ContinuousOptions, lowRate, nextOf } from './continuous.ts'
import { memoryWorld } from './memory-world.ts'
import { atFullSpeed } from './world.ts'

test('of the partitions that are ours the one that is due first comes, and those of others never', async () => {
  const dueAt = new Map([
    [0, 500],
    [1, 300],
    [2, 100],
  ])

  const next = nextOf([0, 1, 3], dueAt, 1_000, 60_000)

  assert.equal(next, 1)
  assert.deepEqual([...dueAt.keys()].sort(), [0, 1, 3])
  assert.equal(dueAt.get(3), 61_000)
  assert.equal(nextOf([], dueAt, 1_000, 60_000), null)
})

test('what happens to a partition of ours is found and repaired at the next audit, with nobody asking', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 2, index: memoryIndex({ space }) })
  await run.driver.pipe(...Array.from({ length: 12 }, (_, i) => document(`acme/${i}`)))
  const { audited, findings, options } = await continuous(run, { owned: [0], rounds: 3 })
  const lost: string[] = []

  await auditContinuously({
    ...options,
    audited(partition, report) {
      options.audited(partition, report)
      if (audited.length !== 1) return
      const copy = run.index.copy()
      lost.push(...copy.manifests.filter(([, each]) => each.partition === 0).map(([key]) => key))
      run.index.restore({ ...copy, manifests: [] })
    },
  })

  assert.deepEqual(audited, [
    [0, true],
    [0, true],
    [0, true],
  ])
  assert.ok(lost.length > 0)
  const repaired = findings.filter(({ state, kind }) => state === 'repaired' && kind === 'missing')
  assert.deepEqual(repaired.map(({ key }) => key).sort(), lost.sort())
})

test('an audit that is broken off is told, and made again', async () => {
  await using run = await memoryPipeline({ from: 'documents', partitions: 2, index: memoryIndex({ space }) })
  const { audited, failed, options } = await continuous(run, { owned: [1], rounds: 1 })
  let refusals = 2

  await auditContinuously({
    ...options,
    async world() {
      if (refusals-- > 0) throw new Retry('Qdrant did not answer')
      return options.world()
    },
  })

  assert.deepEqual(failed, ['1: Qdrant did not answer', '1: Qdrant did not answer'])
  assert.deepEqual(audited, [[1, true]])
})

test('a low rate is kept, and while others are in a hurry nothing is read, for so long', async () => {
  const clock = virtualClock()
  const closed = new AbortController()
  let rush = false
  const pace = lowRate(100, { clock, busy: () => rush, signal: closed.signal })
  const began = clock.now()
  const passing = async (work: Promise<void>) => {
    let over = false
    void work.finally(() => (over = true)).catch(() => {})
    while (!over) {
      await new Promise((resolve) => setImmediate(resolve))
      if (clock.nextAt !== null) clock.advance(clock.nextAt - clock.now())
    }
    return clock.now() - began
  }

  const calm = [await passing(pace(50)), await passing(pace(100))]
  rush = true
  const rushed = await passing(pace(100))
  closed.abort(new Error('the worker ends'))

  assert.deepEqual([calm, rushed], [[500, 1_500], 62_500])
  await assert.rejects(pace(1), /the worker ends/)
})

/** The loop over a pipeline in memory, which ends after some audits. */
async function continuous(
  run: Awaited<ReturnType<typeof memoryPipeline>>,
  { owned, rounds }: { owned: number[]; rounds: number },
) {
  const world = await memoryWorld(run, { partitions: 2 })
  const closed = new AbortController()
  const audited: [number, boolean][] = []
  const findings: Finding[] = []
  const failed: string[] = []
  const options: ContinuousOptions = {
    world: async () => world,
    owned: () => owned,
    everyMs: 10_000,
    repair: true,
    repairsMax: 100,
    pace: atFullSpeed,
    clock: world.clock,
    signal: closed.signal,
    found: (finding) => findings.push(finding),
    audited(partition, { inSync }) {
      audited.push([partition, inSync])
      if (audited.length === rounds) closed.abort()
    },
    failed: (partition, error) => failed.push(`${partition}: ${(error as Error).message}`),
  }
  return { audited, findings, failed, options }
}

const space = 'es_68617368656e6769'
const document = (key: string) => ({
  key,
  value: { title: null, text: `The text of ${key}.`, url: null, language: null, attributes: {}, cleaning: 'c1' },
})
