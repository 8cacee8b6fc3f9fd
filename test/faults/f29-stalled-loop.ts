import { until } from '../until.ts'
import { passing } from './moments.ts'
import { partitionsOf } from './partitions-of.ts'
import { stallOnSignal } from './preloads.ts'
import type { Row } from './row.ts'

const STALL_MS = 30_000
const moments = ['embedded', 'manifest'] as const

/** Others take its partitions; when it goes on, in the midst of what it did, it writes nothing old. */
export const stalledLoop: Row = {
  id: 'F29',
  title: 'the event loop of a worker stands still for 30 s',
  sets: ['full'],
  needs: { workers: 1 },
  async run({ platform, load, startWorker, healed, atRest, count }) {
    const stalling = await startWorker(stallOnSignal(STALL_MS))
    await load.write(100)
    await atRest()
    for (const moment of moments) {
      const passed = passing(platform, moment)
      await load.write(150)
      await passed
      process.kill(stalling.pid, 'SIGUSR2')
      const stalledAt = performance.now()
      count('stalls')
      await load.write(100)
      await healed({ what: 'seconds until others did its work' })
      await load.write(150)
      await atRest()
      await until('it goes on', () => performance.now() - stalledAt > STALL_MS, STALL_MS + 10_000)
      await until(
        'it has a share of the work again',
        async () => (await partitionsOf(stalling, 'index-vectors').catch(() => 0)) > 0,
        60_000,
      )
      await load.write(100)
      await healed()
    }
  },
}
