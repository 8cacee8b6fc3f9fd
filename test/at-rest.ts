import { openBacklog } from './backlog.ts'
import type { Platform } from './platform.ts'
import { until } from './until.ts'

/**
 * Resolves when everything that is in `inbox` is ingested and everything that is then in `documents` is in the index, as the
 * ingest positions and the watermark say.
 */
export async function atRest(platform: Platform, msMax = 60_000): Promise<void> {
  const backlog = await openBacklog(platform)
  try {
    await until(
      'all documents are in the index',
      async () => {
        // `documents` is asked after `inbox`: what is ingested is then within its end.
        const left = backlog.left(await backlog.ends())
        return left.length === 0 || `open are ${left.join(', ')}`
      },
      msMax,
    )
  } finally {
    await backlog.close()
  }
}
