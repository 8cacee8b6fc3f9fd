import { setTimeout as delay } from 'node:timers/promises'
import type { Load } from '../load.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'

const rounds = { fast: 1, full: 2 }
/** Longer than every patience of a request, and than the session of a group member. */
const stoppedMs = { fast: 15_000, full: 45_000 }
const recordsPerSecond = 50

/** What Kafka acknowledged is there when it is back, and everybody finds it again. */
export const broker: Row = {
  id: 'F4',
  title: 'Kafka restarted, killed, and stopped for 45 s',
  sets: ['full'],
  needs: { stack: 'own' },
  async run(context) {
    const { set, load, healed, atRest, count, expect, say } = context
    await load.write(200)
    await atRest()
    for (let round = 0; round < rounds[set]; round++)
      for (const [what, hurt] of Object.entries({ restarted, killed, stopped })) {
        const flow = load.flow(recordsPerSecond)
        const before = acknowledged(load)
        await until('records are on their way', () => acknowledged(load) >= before + recordsPerSecond)
        const silentFor = await hurt(context)
        say(`${what}: all was there ${(await healed()).toFixed(1)} s after`)
        await until('producers go on', () => acknowledged(load) > silentFor, 60_000)
        await flow.stop()
        count(`times ${what}`)
      }
    const inDoubt = load.sent.length - acknowledged(load)
    count('records acknowledged', acknowledged(load))
    count('records in doubt', inDoubt)
    expect(acknowledged(load) > 0, 'nothing was acknowledged: the row says nothing')
  },
}

const acknowledged = ({ sent }: Load): number => sent.filter(({ offset }) => offset !== null).length

/** Each answers how many records were acknowledged when it began again. */
async function restarted({ stack, load }: Context): Promise<number> {
  await stack.stack.part('kafka').kill('SIGTERM')
  const then = acknowledged(load)
  await stack.stack.part('kafka').restart()
  return then
}

async function killed({ stack, load }: Context): Promise<number> {
  await stack.stack.part('kafka').kill('SIGKILL')
  const then = acknowledged(load)
  await stack.stack.part('kafka').restart()
  return then
}

async function stopped({ set, stack, load }: Context): Promise<number> {
  const kafka = stack.stack.part('kafka')
  await kafka.kill('SIGSTOP')
  await delay(stoppedMs[set])
  const then = acknowledged(load)
  await kafka.kill('SIGCONT')
  return then
}
