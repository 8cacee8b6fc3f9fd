import { setTimeout as delay } from 'node:timers/promises'
import { progress } from '../../schemas/topics.ts'
import { systemClock } from '../../streams/clock.ts'
import { openTable } from '../../streams/table.ts'
import type { Platform, Role } from '../platform.ts'
import type { Row } from './row.ts'

const STORM_MS = 120_000
const CHANGE_EVERY_MS = 5_000
const WINDOW_MS = 30_000

/** Something moves in every window of 30 s, however often the partitions are given away. */
export const rebalanceStorm: Row = {
  id: 'F9',
  title: 'a worker joins or leaves every 5 s for 2 minutes',
  sets: ['full'],
  async run({ platform, load, startWorker, signal, healed, count, most, expect }) {
    await load.write(200)
    const flow = load.flow(60)
    const movements = await watchMovements(platform)
    const began = performance.now()
    let extra: Role | null = null
    for (let change = 1; performance.now() - began < STORM_MS; change++) {
      const next = delay(CHANGE_EVERY_MS)
      if (extra === null) extra = await startWorker()
      else {
        await signal(extra, change % 4 === 0 ? 'SIGKILL' : 'SIGTERM')
        extra = null
      }
      count('changes of the group')
      await next
    }
    await flow.stop()
    const stillestMs = await movements.stop()
    most('longest stillness, seconds', stillestMs / 1_000)
    expect(stillestMs <= WINDOW_MS, `nothing moved for ${(stillestMs / 1_000).toFixed(1)} s`)
    await healed()
  },
}

/** Notes when a watermark moves; answers the longest time in which none did. */
async function watchMovements({ broker, serde, scope, collection }: Platform): Promise<{ stop(): Promise<number> }> {
  let last = performance.now()
  let longestMs = 0
  const lows = new Map<number, number>()
  const moved = () => {
    longestMs = Math.max(longestMs, performance.now() - last)
    last = performance.now()
  }
  const table = await openTable(progress, {
    broker,
    serde,
    scope,
    clock: systemClock,
    failed() {},
    changed(_key, value) {
      if (value?.collection !== collection || value.low <= (lows.get(value.partition) ?? -1)) return
      lows.set(value.partition, value.low)
      moved()
    },
  })
  return {
    async stop() {
      moved()
      await table.close()
      return longestMs
    },
  }
}
