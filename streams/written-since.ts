import type { Broker } from './broker.ts'
import { partitionOf } from './partitioner.ts'

/** Whether a key was written to the topic at this offset of its partition or later. Reads what was written since. */
export async function keyWrittenSince(
  broker: Pick<Broker, 'admin' | 'read'>,
  topic: string,
  key: string,
  offset: number,
): Promise<boolean> {
  const ends = await broker.admin.offsets(topic)
  const partition = partitionOf(key, ends.length)
  const { end } = ends.find((each) => each.partition === partition)!
  const name = Buffer.from(key)
  for await (const { records } of broker.read({ topic, partition, from: offset, to: end }))
    if (records.some((record) => record.key?.equals(name))) return true
  return false
}
