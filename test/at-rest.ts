import { documents, inbox, ingestPositions, progress } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import { openTable } from '../streams/table.ts'
import type { Platform } from './platform.ts'
import { until } from './until.ts'

/**
 * Resolves when everything that is in `inbox` is ingested and everything that is then in `documents` is in the index, as the
 * ingest positions and the watermark say.
 */
export async function atRest(platform: Platform, msMax = 60_000): Promise<void> {
  const { broker, serde, scope, collection } = platform
  let failure: Error | null = null
  const shared = { broker, serde, scope, clock: systemClock, failed: (error: Error) => (failure = error) }
  const [ingested, applied] = await Promise.all([openTable(ingestPositions, shared), openTable(progress, shared)])
  const inboxId = (await broker.admin.topics()).find(({ name }) => name === platform.topic(inbox))?.id
  const open = async (): Promise<string[]> => {
    if (failure !== null) throw failure
    const inboxEnds = await broker.admin.offsets(platform.topic(inbox))
    const notIngested = inboxEnds
      .filter(({ partition, start, end }) => end > start && (ingested.get(`${inboxId}/${partition}`)?.next ?? 0) < end)
      .map(({ partition, end }) => `inbox ${partition} up to ${end}`)
    if (notIngested.length > 0) return notIngested
    const ends = await broker.admin.offsets(platform.topic(documents))
    return ends
      .filter(({ partition, end }) => (applied.get(`${collection}/${partition}`)?.low ?? -1) < end - 1)
      .map(({ partition, end }) => `documents ${partition} up to ${end}`)
  }
  try {
    await until(
      'all documents are in the index',
      async () => {
        const left = await open()
        return left.length === 0 || `open are ${left.join(', ')}`
      },
      msMax,
    )
  } finally {
    await Promise.all([ingested.close(), applied.close()])
  }
}
