import type { Receipt } from '../schemas/records.ts'
import { deadLetters, documents, indexed } from '../schemas/topics.ts'
import type { StoredRecord } from '../streams/broker.ts'
import type { DeadLetter } from '../streams/dead-letters.ts'
import { isLowKey, type Topic } from '../streams/topic.ts'
import type { Platform } from './platform.ts'
import { until } from './until.ts'

/** All records of a topic, in the order of each partition, up to the end that it has now. */
export async function recordsOf(platform: Platform, topic: Topic): Promise<StoredRecord[]> {
  const { broker } = platform
  const name = platform.topic(topic)
  const records: StoredRecord[] = []
  const next = new Map<number, number>()
  const ends = await broker.admin.offsets(name)
  let failure: Error | null = null
  const tail = await broker.tail({
    topics: [name],
    from: 'start',
    failed: (error) => (failure = error),
    fetched(batch) {
      records.push(...batch.records)
      next.set(batch.partition, batch.next)
    },
  })
  await until(`${name} is read to its end`, () => {
    if (failure !== null) throw failure
    return ends.every(({ partition, start, end }) => end === start || (next.get(partition) ?? 0) >= end)
  })
  await tail.close()
  return records.filter(({ partition, offset }) => offset < ends.find((each) => each.partition === partition)!.end)
}

export async function valuesOf<V>(platform: Platform, topic: Topic<V>): Promise<V[]> {
  const records = (await recordsOf(platform, topic)).filter(({ value, key }) => value !== null && !isLowKey(key))
  return (await Promise.all(records.map(({ value }) => platform.serde.decode(topic, value!)))) as V[]
}

export const receiptsOf = (platform: Platform): Promise<Receipt[]> => valuesOf(platform, indexed)
export const deadLettersOf = (platform: Platform): Promise<DeadLetter[]> => valuesOf(platform, deadLetters)

/** Positions in `documents` that hold a record, as partition/offset. */
export async function positionsOf(platform: Platform): Promise<string[]> {
  return (await recordsOf(platform, documents)).map(({ partition, offset }) => `${partition}/${offset}`)
}
