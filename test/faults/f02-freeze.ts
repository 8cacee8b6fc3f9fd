import type { Role } from '../platform.ts'
import { until } from '../until.ts'
import { type Moment, passing } from './moments.ts'
import { partitionsOf } from './partitions-of.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 6 }
/** Between what a worker has embedded and what it writes about it. */
const worst: readonly Moment[] = ['embedded', 'manifest', 'ingested']

/** The one that stood still is refused when it wakes, or what it does is seen and written over. */
export const freeze: Row = {
  id: 'F2',
  title: 'SIGSTOP of a worker beyond the session timeout, then SIGCONT',
  sets: ['fast', 'full'],
  needs: { standing: true },
  run: (context) => freezeAndWake(context, rounds[context.set]),
}

/** The same with the real model, which embeds for so long that it is surely stopped in the midst of it. */
export const freezeModel: Row = {
  ...freeze,
  id: 'F2m',
  title: 'the same with the real model',
  sets: ['full'],
  needs: { standing: true, engine: 'model', env: { FRESHET_EMBED_WORKERS: '1' } },
  run: (context) => freezeAndWake(context, 2),
}

async function freezeAndWake(context: Context, count: number): Promise<void> {
  const { platform, load, workers, next, signal, healed, atRest, say, expect } = context
  await load.write(100)
  await atRest()
  for (let round = 0; round < count; round++) {
    const sleeper = workers[Math.floor(next() * workers.length)]!
    const others = workers.filter((worker) => worker !== sleeper)
    const passed = passing(platform, worst[round % worst.length]!)
    await load.write(150)
    await passed
    await signal(sleeper, 'SIGSTOP')

    await healed({ what: 'seconds until others did its work' })
    // Newer revisions, so that what the sleeper still holds is old.
    await load.write(150)
    await atRest()
    expect(
      await haveAll(others, platform.partitions),
      'the others had not taken the partitions of the one that stood still',
    )
    await signal(sleeper, 'SIGCONT')
    await load.write(50)
    await until(
      'the sleeper has a share of the work again',
      async () => (await partitionsOf(sleeper, 'index-vectors')) > 0,
      60_000,
    )
    await load.write(100)
    const seconds = await healed()
    say(`round ${round + 1}: all was there ${seconds.toFixed(1)} s after it woke`)
  }
}

async function haveAll(workers: readonly Role[], partitions: number): Promise<boolean> {
  const each = await Promise.all(workers.map((worker) => partitionsOf(worker, 'index-vectors')))
  return each.reduce((sum, own) => sum + own, 0) >= partitions
}
