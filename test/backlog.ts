import { control, documents, inbox, ingestPositions, progress } from '../schemas/topics.ts'
import type { PartitionOffsets } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { FIRST_EPOCH } from '../streams/low.ts'
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
  const tables = await Promise.all([
    openTable(ingestPositions, shared),
    openTable(progress, shared),
    openTable(control, shared),
  ])
  await Promise.all(tables.map((table) => table.sync()))
  const [ingested, applied, recorded] = tables
  /** Of the `documents` that is accepted; a watermark of another says nothing of it. */
  const lowOf = (partition: number): number => {
    const told = applied.get(`${collection}/${partition}`)
    const epoch = recorded.get(`topic/${documents.name}`)?.topic?.epoch ?? FIRST_EPOCH
    return told?.epoch === epoch ? told.low : -1
  }
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
        .filter(({ partition, end }) => lowOf(partition) < end - 1)
        .map(({ partition, end }) => `documents ${partition} up to ${end}, now at ${lowOf(partition)}`)
      return [...notIngested, ...notApplied]
    },
    async close() {
      await Promise.all(tables.map((table) => table.close()))
    },
  }
}
