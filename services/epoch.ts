import { control, documents } from '../schemas/topics.ts'
import type { Broker } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Fatal } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope } from '../streams/topic.ts'

/**
 * The epoch that offsets of `documents` count in: recorded in `control` with the topic's id when the topic is first seen.
 * Throws `Fatal` when the topic was deleted and created again: its offsets then start over, and every new revision would
 * look older than what the index holds.
 */
export async function epochOf(broker: Broker, serde: Serde, scope: Scope): Promise<number> {
  const name = nameIn(scope, documents)
  const key = `topic/${documents.name}`
  let failure: Error | null = null
  const table = await openTable(control, {
    broker,
    serde,
    scope,
    clock: systemClock,
    failed: (error) => (failure = error),
  })
  try {
    await table.sync()
    if (failure !== null) throw failure
    const topic = (await broker.admin.topics()).find((each) => each.name === name)
    if (topic === undefined) throw new Fatal(`topic ${name} does not exist; freshet up creates it`)
    const recorded = table.get(key)?.topic
    if (recorded?.id === topic.id) return recorded.epoch
    if (recorded) {
      throw new Fatal(
        `topic ${name} was deleted and created again (it was ${recorded.id} and is ${topic.id}): its offsets start over, and the index would take every new document for an old one. Delete the topics vectors.*, indexed, progress and control and the collection, or restore ${name}`,
      )
    }
    const producer = await broker.producer()
    const value = serde.encode(control, { serving: null, topic: { id: topic.id, epoch: FIRST_EPOCH } })
    await producer.send([
      { topic: nameIn(scope, control), partition: partitionOf(key, control.partitions as number), key, value },
    ])
    await producer.close()
    return FIRST_EPOCH
  } finally {
    await table.close()
  }
}

const FIRST_EPOCH = 1
