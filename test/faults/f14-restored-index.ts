import { documents, progress } from '../../schemas/topics.ts'
import type { Platform } from '../platform.ts'
import { valuesOf } from '../topic-records.ts'
import { until } from '../until.ts'
import { indexState } from './index-state.ts'
import type { Row } from './row.ts'

const rounds = { fast: 1, full: 4 }

/** Noticed, rewound and caught up, and nobody asked for it. */
export const restoredIndex: Row = {
  id: 'F14',
  title: 'Qdrant set back to an older copy',
  sets: ['fast', 'full'],
  needs: { qdrant: 'own' },
  async run({ set, platform, load, qdrant, setBack, healed, atRest, count, most, expect }) {
    await load.write(400)
    for (let round = 0; round < rounds[set]; round++) {
      await atRest()
      await qdrant.stop('SIGTERM')
      qdrant.copy()
      await qdrant.start()
      await load.write(400)
      await atRest()
      const before = await indexState(platform)
      const marks = (await valuesOf(platform, progress)).length

      await qdrant.stop('SIGKILL')
      setBack()
      qdrant.restore()
      await qdrant.start()
      const began = performance.now()
      const restored = await indexState(platform)
      const behind = before.markers.filter(
        ({ partition, applied }) =>
          (restored.markers.find((each) => each.partition === partition)?.applied ?? -1) < applied,
      )
      expect(behind.length > 0, 'the copy was not older: the row says nothing')
      // More traffic while it catches up, in every second round.
      if (round % 2 === 1) await load.write(100)
      await until('the markers are where the log ends', () => isApplied(platform), CATCH_UP_MS_MAX)
      await healed()
      most('recovery seconds', (performance.now() - began) / 1_000)
      count(
        'offsets set back',
        behind.reduce(
          (sum, { partition, applied }) =>
            sum + applied - (restored.markers.find((each) => each.partition === partition)?.applied ?? -1),
          0,
        ),
      )

      const lows = (await valuesOf(platform, progress)).slice(marks)
      expect(
        behind.every(({ partition, low }) => lows.some((each) => each.partition === partition && each.low < low)),
        'the watermark of a partition that was set back did not go back',
      )
    }
  },
}

const CATCH_UP_MS_MAX = 120_000

async function isApplied(platform: Platform): Promise<boolean | string> {
  const { markers } = await indexState(platform)
  const ends = await platform.broker.admin.offsets(platform.topic(documents))
  const open = ends.filter(
    ({ partition, end }) => (markers.find((each) => each.partition === partition)?.low ?? -1) < end - 1,
  )
  return open.length === 0 || open.map(({ partition, end }) => `${partition} up to ${end}`).join(', ')
}
