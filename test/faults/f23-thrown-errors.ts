import { documents } from '../../schemas/topics.ts'
import { loadTenants } from '../load.ts'
import { until } from '../until.ts'
import { partitionsOf } from './partitions-of.ts'
import { withoutZstd } from './preloads.ts'
import type { Context, Row } from './row.ts'
import { configure } from './topic-surgery.ts'
import { errorClasses, troubling } from './trouble.ts'
import { healthOf } from './worker-states.ts'

const rounds = { fast: 1, full: 3 }
const stages = ['ingest-documents', 'embed-documents', 'index-vectors']

/** A record whose handling throws is one dead letter; a process that cannot read ends and says why. None lives on with a dead consumer. */
export const thrownErrors: Row = {
  id: 'F23',
  title: 'the handler throws every class of error; a worker that lacks a codec',
  sets: ['full'],
  needs: { workerFile: 'test/faults/troubled-worker.ts' },
  async run(context) {
    const { set, platform, load, workers, next, healed, count, expect } = context
    const living = workers.map(({ pid }) => pid).join()
    for (let round = 0; round < rounds[set]; round++) {
      for (const what of [...errorClasses.map((name) => `throws ${name}`), 'throws no error']) {
        await load.send(loadTenants.map((tenant) => troubling(platform, what, tenant, next)))
        count('records whose handling throws', loadTenants.length)
        await load.write(40)
      }
      await healed()
    }
    expect(workers.map(({ pid }) => pid).join() === living, 'a worker ended, and a record was to blame')
    await allAtWork(context)
    await withoutCodec(context)
    await allAtWork(context)
  },
}

/** Every worker is ready, and every partition of every stage is somebody's. */
async function allAtWork({ platform, workers }: Context): Promise<void> {
  await until(
    'all partitions are worked on',
    async () => {
      const ready = (await Promise.all(workers.map(healthOf))).every((health) => health.ready)
      const counts = await Promise.all(
        stages.map(async (stage) => {
          const own = await Promise.all(workers.map((worker) => partitionsOf(worker, stage)))
          return own.reduce((sum, each) => sum + each, 0)
        }),
      )
      return (
        (ready && counts.every((each) => each >= platform.partitions)) ||
        `partitions of the stages: ${counts}, ready: ${ready}`
      )
    },
    60_000,
  )
}

/** The broker compresses all that is written with a codec that one of three workers has not. */
async function withoutCodec({ platform, load, healed, count, expect }: Context): Promise<void> {
  await configure(platform, documents, { 'compression.type': 'zstd' })
  const blind = await platform.worker(withoutZstd())
  let end: string | null = null
  void blind.ended.then((how) => {
    end = how
  })
  await until(
    'the worker that cannot read ends',
    async () => {
      if (end === null) await load.write(5)
      return end !== null
    },
    60_000,
  )
  count('workers that lacked a codec')
  const told = /cannot be read at \d+: .*ZSTD/.test(blind.log())
  expect(
    end === 'ended with exit code 1' && told,
    `a worker that lacks a codec ${end}, and its log ends with ${blind.log().slice(-500)}`,
  )
  await healed()
  await configure(platform, documents)
}
