import { collectionKey } from '../processors/collections.ts'
import type { CollectionState, Control, Progress } from '../schemas/records.ts'
import { control, documents, progress, redo } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Fatal } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'
import { openEpochs } from './epoch.ts'
import type { Outside } from './outside.ts'

/**
 * What whoever decides which collections are kept reads and writes: `control` and `progress`, followed, and Qdrant. `log`: the topic that collections
 * are measured by.
 */
export async function openDeciding(outside: Outside, scope: Scope, log: Topic) {
  const { broker } = outside
  const serde = outside.serde(scope)
  const present = new Set((await broker.admin.topics()).map(({ name }) => name))
  const missing = [control, progress, redo, log].map((topic) => nameIn(scope, topic)).find((name) => !present.has(name))
  if (missing !== undefined) throw new Fatal(`topic ${missing} does not exist; start a worker, which creates it`)
  await serde.register([control, progress, redo, documents])
  const epochs = await openEpochs(broker, serde, scope)
  await epochs.check()
  const qdrant = outside.qdrant()
  let failure: Error | null = null
  const failed = (error: Error): void => {
    failure = error
  }
  const controlTable = await outside.control(scope, { failed })
  const progressTable = await openTable(progress, { broker, serde, scope, failed })
  const producer = await broker.producer()

  const write = async (key: string, record: Partial<Control>): Promise<void> => {
    const value = serde.encode(control, record)
    const partition = partitionOf(key, control.partitions as number)
    await producer.send([{ topic: nameIn(scope, control), partition, key, value }])
  }

  return {
    serde,
    qdrant,
    producer,
    epochs,
    write,
    /** Of the collections that are `ours`. */
    async known(isOurs: (collection: string) => boolean) {
      const [listed, offsets] = await Promise.all([
        qdrant.read('collections', (options) => qdrant.collections.list({}, options)),
        broker.admin.offsets(nameIn(scope, log)),
        controlTable.sync(),
        progressTable.sync(),
      ])
      if (failure !== null) throw failure
      return {
        decided: new Map(controlTable.entries()),
        present: new Set(listed.collections.map(({ name }) => name).filter(isOurs)),
        ends: offsets.toSorted((a, b) => a.partition - b.partition).map(({ end }) => end),
        progress: progressIn(progressTable.entries(), isOurs),
        now: Date.now(),
      }
    },
    declare: (collection: string, state: CollectionState) => write(collectionKey(collection), { collection: state }),
    async remove(collection: string): Promise<void> {
      const exists = await qdrant.read('collectionExists', (options) =>
        qdrant.collections.collectionExists({ collectionName: collection }, options),
      )
      if (exists.result?.exists === true)
        await qdrant.write('the removal of a collection', (options) =>
          qdrant.collections.delete({ collectionName: collection }, options),
        )
      const keys = Array.from(progressTable.entries(), ([key]) => key).filter(
        (key) => key.slice(0, key.lastIndexOf('/')) === collection,
      )
      const topic = nameIn(scope, progress)
      await producer.send(keys.map((key): NewRecord => ({ topic, partition: 0, key, value: null })))
    },
    wait: (ms: number, signal: AbortSignal) => systemClock.wait(ms, signal),
    async close(): Promise<void> {
      await Promise.all([controlTable.close(), progressTable.close(), producer.close(), epochs.close()])
      await broker.close()
    },
  }
}

function progressIn(
  records: Iterable<readonly [string, Progress]>,
  isOurs: (collection: string) => boolean,
): Map<string, Map<number, Progress>> {
  const found = new Map<string, Map<number, Progress>>()
  for (const [, value] of records) {
    if (!isOurs(value.collection)) continue
    const own = found.get(value.collection) ?? new Map<number, Progress>()
    found.set(value.collection, own.set(value.partition, value))
  }
  return found
}
