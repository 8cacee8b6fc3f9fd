import { documents, inbox, ingestPositions, progress } from '../schemas/topics.ts'
import type { PartitionOffsets } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { openTable } from '../streams/table.ts'
import type { Platform } from './platform.ts'

/** What the pipeline has still to do, as the ingest positions and the watermark say. */
export interface Backlog {
  ends(): Promise<Ends>
  /** What of that is not in the index yet, in words. */
  left(ends: Ends): string[]
  close(): Promise<void>
}

export interface Ends {
  readonly inbox: readonly PartitionOffsets[]
  readonly documents: readonly PartitionOffsets[]
}

export async function openBacklog(platform: Platform): Promise<Backlog> {
  const { broker, serde, scope, collection } = platform
  let failure: Error | null = null
  const shared = { broker, serde, scope, clock: systemClock, failed: (error: Error) => (failure = error) }
  const [ingested, applied] = await Promise.all([openTable(ingestPositions, shared), openTable(progress, shared)])
  await Promise.all([ingested.sync(), applied.sync()])
  const inboxId = (await broker.admin.topics()).find(({ name }) => name === platform.topic(inbox))?.id
  return {
    async ends() {
      return {
        inbox: await broker.admin.offsets(platform.topic(inbox)),
        documents: await broker.admin.offsets(platform.topic(documents)),
      }
    },
    left(ends) {
      if (failure !== null) throw failure
      const notIngested = ends.inbox
        .filter(
          ({ partition, start, end }) => end > start && (ingested.get(`${inboxId}/${partition}`)?.next ?? 0) < end,
        )
        .map(
          ({ partition, end }) =>
            `inbox ${partition} up to ${end}, now at ${ingested.get(`${inboxId}/${partition}`)?.next}`,
        )
      const notApplied = ends.documents
        .filter(({ partition, end }) => (applied.get(`${collection}/${partition}`)?.low ?? -1) < end - 1)
        .map(
          ({ partition, end }) =>
            `documents ${partition} up to ${end}, now at ${applied.get(`${collection}/${partition}`)?.low}`,
        )
      return [...notIngested, ...notApplied]
    },
    async close() {
      await Promise.all([ingested.close(), applied.close()])
    },
  }
}
