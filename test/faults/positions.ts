import { embedDocuments } from '../../processors/embed-documents.ts'
import { documents, inbox, ingestPositions } from '../../schemas/topics.ts'
import { systemClock } from '../../streams/clock.ts'
import { groupOf } from '../../streams/runner.ts'
import { openTable } from '../../streams/table.ts'
import type { Sent } from '../oracle/world.ts'
import type { Platform } from '../platform.ts'

/** The first offset of each partition that the stage which reads this door has not handled for good. */
export async function positionsAt(platform: Platform, door: Sent['door']): Promise<Map<number, number>> {
  const { broker, serde, scope, topic } = platform
  if (door === 'documents') {
    const committed = await broker.admin.committed(groupOf(scope, embedDocuments), topic(documents))
    return new Map(committed.map(({ partition, offset }) => [partition, offset]))
  }
  let failure: Error | null = null
  const failed = (error: Error) => (failure = error)
  const table = await openTable(ingestPositions, { broker, serde, scope, clock: systemClock, failed })
  try {
    await table.sync()
    if (failure !== null) throw failure
    const id = (await broker.admin.topics()).find(({ name }) => name === topic(inbox))?.id
    const partitions = Array.from({ length: platform.partitions }, (_, partition) => partition)
    return new Map(partitions.map((partition) => [partition, table.get(`${id}/${partition}`)?.next ?? 0]))
  } finally {
    await table.close()
  }
}
