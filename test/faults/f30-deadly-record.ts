import { loadTenants } from '../load.ts'
import type { Sent } from '../oracle/world.ts'
import type { Role } from '../platform.ts'
import { deadLettersOf } from '../topic-records.ts'
import { until } from '../until.ts'
import type { Context, Row } from './row.ts'
import { troubling } from './trouble.ts'

const deadly = ['aborts the process', 'fills the memory', 'throws where nobody catches']
/** Of a record that is tried alone at once, since one shortly before it has ended the process too. */
const DEATHS_MIN = 3
/** Three starts to notice, three to be sure, each by whichever worker has the partition; and what dies beside them. */
const DEATHS_MAX = 14
const FOUND_MS_MAX = 400_000

/** It is found by counting, becomes one dead letter of the class crash, and everything else is indexed. */
export const deadlyRecord: Row = {
  id: 'F30',
  title: 'a record that ends the process: a native abort, all its memory, an error that nobody catches',
  sets: ['full'],
  needs: { workerFile: 'test/faults/troubled-worker.ts', env: { NODE_OPTIONS: '--max-old-space-size=192' } },
  async run(context) {
    const { platform, load, next, healed, atRest, count, expect, say } = context
    await load.write(100)
    await atRest()
    for (const [i, what] of deadly.entries()) {
      await load.send([troubling(platform, what, loadTenants[i % loadTenants.length]!, next)])
      const record = load.sent.at(-1)!
      await load.write(100)
      const deaths = await startAgainUntil(context, () => isBuried(context, record))
      count(`workers that died of what ${what}`, deaths)
      expect(deaths >= DEATHS_MIN && deaths <= DEATHS_MAX, `${deaths} workers died of one record that ${what}`)
      const seconds = await healed()
      say(`${what}: found after ${deaths} deaths, and all was there ${seconds.toFixed(1)} s after`)
    }
  },
}

/** As a supervisor does: a worker for each that has died. Resolves with how many have. */
async function startAgainUntil(
  { workers, startWorker, signal }: Context,
  done: () => Promise<boolean>,
): Promise<number> {
  const dead = new Set<Role>()
  const watched = new Set<Role>()
  let deaths = 0
  await until(
    'the record is found',
    async () => {
      for (const worker of workers) {
        if (watched.has(worker)) continue
        watched.add(worker)
        void worker.ended.then(() => dead.add(worker))
      }
      for (const worker of [...dead]) {
        dead.delete(worker)
        deaths++
        await signal(worker, 'SIGKILL')
        // One that dies before it serves is as dead, and the next look starts another.
        await startWorker().catch(() => deaths++)
      }
      if (workers.length === 0) await startWorker().catch(() => deaths++)
      // One may have died meanwhile that was not looked at yet.
      return ((await done()) && dead.size === 0) || `${deaths} workers died`
    },
    FOUND_MS_MAX,
  )
  return deaths
}

async function isBuried({ platform }: Context, { partition, offset }: Sent): Promise<boolean> {
  const letters = await deadLettersOf(platform)
  return letters.some(
    (letter) => letter.class === 'crash' && letter.partition === partition && letter.offset === offset,
  )
}
