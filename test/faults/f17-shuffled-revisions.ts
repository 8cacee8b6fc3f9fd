import { vectors } from '../../schemas/topics.ts'
import { isLowKey } from '../../streams/topic.ts'
import { recordsOf } from '../topic-records.ts'
import { handled } from './handled.ts'
import type { Row } from './row.ts'

const rounds = { fast: 1, full: 4 }

/** The highest revision wins, in whatever order they come. */
export const shuffledRevisions: Row = {
  id: 'F17',
  title: 'all records of vectors once more, in any order, beside the load',
  sets: ['full'],
  async run({ set, platform, load, workers, next, healed, atRest, count }) {
    await load.write(400)
    await atRest()
    const producer = await platform.broker.producer()
    for (let round = 0; round < rounds[set]; round++) {
      const records = (await recordsOf(platform, vectors)).filter(({ key }) => key !== null && !isLowKey(key))
      for (let i = records.length - 1; i > 0; i--) {
        const j = Math.floor(next() * (i + 1))
        ;[records[i], records[j]] = [records[j]!, records[i]!]
      }
      const again = records.slice(0, RECORDS_MAX)
      for (let i = 0; i < again.length; i += 100) {
        await producer.send(again.slice(i, i + 100).map((record) => ({ ...record, key: String(record.key) })))
        await load.write(10)
      }
      count('records sent again', again.length)
      await handled(platform, workers, ['index-vectors'])
      await healed()
    }
    await producer.close()
  },
}

const RECORDS_MAX = 1_000
