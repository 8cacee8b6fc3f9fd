import { setTimeout as delay } from 'node:timers/promises'
import { indexVectors } from '../../processors/index-vectors.ts'
import { isOlderProgress } from '../../schemas/progress-order.ts'
import type { Progress } from '../../schemas/records.ts'
import { progress } from '../../schemas/topics.ts'
import type { Role } from '../platform.ts'
import { valuesOf } from '../topic-records.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 2 }
const directions = ['both', 'to', 'from'] as const
/** Longer than the session (6 s), so that others take over; in full longer than a request's patience too. */
const heldMs = { fast: 10_000, full: 25_000 }
const HEALED_MS_MAX = 60_000

/** One of two workers cannot reach Kafka, or cannot hear it, or both. */
export const partition: Row = {
  id: 'F8',
  title: 'partition between a worker and Kafka, both ways and one way',
  sets: ['full'],
  needs: { lines: ['kafka'] },
  async run(context) {
    const { set, load, workers, kafkaLine, next, healed, atRest, count, most, expect, say } = context
    await load.write(150)
    await atRest()
    for (let round = 0; round < rounds[set]; round++)
      for (const [i, direction] of directions.entries()) {
        await until('both workers have partitions', () => allHavePartitions(context), HEALED_MS_MAX)
        const worker = workers[Math.floor(next() * workers.length)]!
        const line = kafkaLine(worker)
        const heldBefore = line.held
        const flow = load.flow(40)
        line.hold(direction)
        await delay(heldMs[set])
        await flow.stop()
        // The other one goes on by itself.
        await atRest(HEALED_MS_MAX)
        expect(line.held > heldBefore, `nothing was held ${direction}: the row says nothing about it`)
        count('pieces held', line.held - heldBefore)

        // In each direction once with what was under way, and once with connections that never speak again.
        const held = (i + round) % 2 === 0 ? 'is lost' : 'arrives'
        const began = performance.now()
        line.heal(held)
        await load.write(100)
        await healed()
        await until('both workers have partitions again', () => allHavePartitions(context), HEALED_MS_MAX)
        const seconds = (performance.now() - began) / 1_000
        most('seconds until both work again', seconds)
        most('watermarks that came after later ones', await overtaken(context))
        say(`${direction}, and what was held ${held}: both work again ${seconds.toFixed(1)} s after`)
      }
  },
}

/** Watermarks that lie behind later ones; resolves when none of them lies last, where compaction would keep it. */
async function overtaken({ platform }: Context): Promise<number> {
  let count = 0
  await until(
    'what lies last in progress counts',
    async () => {
      const counting = new Map<number, Progress>()
      const talkedOver = new Set<number>()
      count = 0
      for (const told of await valuesOf(platform, progress)) {
        const { partition } = told
        const before = counting.get(partition)
        if (before !== undefined && isOlderProgress(told, before)) {
          count++
          talkedOver.add(partition)
          continue
        }
        counting.set(partition, told)
        talkedOver.delete(partition)
      }
      return talkedOver.size === 0 || `partitions ${[...talkedOver].join(', ')}: an overtaken watermark lies last`
    },
    HEALED_MS_MAX,
  )
  return count
}

async function allHavePartitions({ workers, platform }: Context): Promise<boolean | string> {
  const own = await Promise.all(workers.map(partitionsOf))
  const sum = own.reduce((total, each) => total + each, 0)
  return (own.every((each) => each > 0) && sum === platform.partitions) || own.join(' and ')
}

/** Partitions of `vectors` that a worker has. */
async function partitionsOf({ adminUrl }: Role): Promise<number> {
  const response = await fetch(`${adminUrl}/metrics`)
  const lines = (await response.text()).split('\n')
  return lines.filter(
    (line) => line.startsWith('freshet_low_offset{') && line.includes(`processor="${indexVectors.name}"`),
  ).length
}
