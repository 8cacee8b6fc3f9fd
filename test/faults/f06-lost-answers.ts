import type { DocumentVectors } from '../../schemas/records.ts'
import { vectors } from '../../schemas/topics.ts'
import { isLowKey } from '../../streams/topic.ts'
import type { Platform } from '../platform.ts'
import { recordsOf } from '../topic-records.ts'
import { apis, type KafkaTreatment } from './kafka-line.ts'
import type { Row } from './row.ts'

const records = { fast: 300, full: 1_500 }
const LOST_MIN = 10

/** Kafka has appended, and whoever sent it never hears of it. */
export const lostAnswers: Row = {
  id: 'F6',
  title: 'a produce is appended and its answer lost',
  sets: ['full'],
  needs: { lines: ['kafka'] },
  async run({ set, platform, load, workers, kafkaLine, next, healed, atRest, count, expect }) {
    await load.write(100)
    await atRest()
    const lines = workers.map(kafkaLine)
    let asked = 0
    for (const line of lines)
      line.treat(({ api }): KafkaTreatment => {
        if (api !== apis.produce && api !== apis.endTransaction) return 'pass'
        asked++
        const chance = next()
        // The silent ones cost the sender its whole patience, so they are few.
        return chance < 0.02 ? 'lose' : chance < 0.2 ? 'hang up' : 'pass'
      })
    await load.write(records[set])
    await atRest()
    for (const line of lines) line.heal()
    await load.write(50)
    await healed()

    const lost = lines.reduce((sum, line) => sum + line.lost, 0)
    count('produces and ends of transactions', asked)
    count('answers lost', lost)
    expect(lost >= LOST_MIN, `only ${lost} answers were lost: the row says nothing about it`)
    const { again, back, compared } = await orderOf(platform)
    count('records of vectors twice', again)
    expect(compared > 0, 'no document has two revisions in vectors: the row says nothing about their order')
    expect(back.length === 0, `${back.length} revisions came after a later one, the first: ${back[0]}`)
  },
}

/** Of each document, its revisions as they lie in `vectors`. */
async function orderOf(platform: Platform): Promise<{ again: number; back: readonly string[]; compared: number }> {
  const last = new Map<string, { offset: number; derivation: number }>()
  const back: string[] = []
  let again = 0
  let compared = 0
  for (const { key, value, headers, partition, offset: at } of await recordsOf(platform, vectors)) {
    if (key === null || isLowKey(key)) continue
    const name = `${partition} ${key}`
    const revision =
      value === null
        ? { offset: Number(String(headers.position).split(':')[1]), derivation: Number(headers.derivation ?? 0) }
        : ((await platform.serde.decode(vectors, value)) as DocumentVectors)
    const before = last.get(name)
    if (before !== undefined) {
      compared++
      const later = revision.offset - before.offset || revision.derivation - before.derivation
      if (later === 0) again++
      if (later < 0) back.push(`${key} at ${partition}/${at}: ${revision.offset} after ${before.offset}`)
    }
    last.set(name, revision)
  }
  return { again, back, compared }
}
