import { shiftedClock } from './preloads.ts'
import type { Row } from './row.ts'

const TEN_MINUTES_MS = 600_000

/** No order and no watermark rests on a clock. */
export const clocks: Row = {
  id: 'F27',
  title: 'one worker’s clock is 10 minutes fast, the other’s 10 minutes slow, and they take turns',
  sets: ['full'],
  needs: { workers: 1 },
  async run({ load, workers, startWorker, signal, healed, atRest }) {
    await load.write(150)
    await atRest()
    const [straight] = workers
    const fast = await startWorker(shiftedClock(TEN_MINUTES_MS))
    await startWorker(shiftedClock(-TEN_MINUTES_MS))
    await signal(straight!, 'SIGTERM')
    await load.write(400)
    await healed()
    // What the fast one did goes on at the slow one.
    await load.write(150)
    await signal(fast, 'SIGKILL')
    await load.write(150)
    await healed()
    await startWorker(shiftedClock(TEN_MINUTES_MS))
    await load.write(300)
    await healed()
  },
}
