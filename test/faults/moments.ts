import { manifestId, markerId, readPayload } from '../../connectors/qdrant/points.ts'
import { documents, vectors } from '../../schemas/topics.ts'
import { loadKeys, loadTenants } from '../load.ts'
import type { Platform } from '../platform.ts'

/** Points of the path at which a fault does most harm: what is done so far, and what comes next. */
export type Moment = 'ingested' | 'embedded' | 'manifest' | 'marker'

/**
 * Resolves as soon as the platform is seen to have passed this moment so many times: documents came from `inbox`, vectors were published,
 * manifests were written and their marker and receipts not yet, a marker was written. Where nothing more happens, after a while.
 */
export async function passing(platform: Platform, moment: Moment, times = 1): Promise<void> {
  const look = await looker(platform, moment)
  let before = await look()
  let changes = 0
  // As fast as it is answered, so as not to come too late; where there are fewer changes than that, the work is done.
  const deadline = performance.now() + WAIT_MS_MAX
  while (changes < times && performance.now() < deadline) {
    const now = await look()
    if (now !== before) changes++
    before = now
  }
}

async function looker(platform: Platform, moment: Moment): Promise<() => Promise<string>> {
  const { broker, qdrant, collection, partitions } = platform
  if (moment === 'ingested' || moment === 'embedded') {
    const topic = platform.topic(moment === 'ingested' ? documents : vectors)
    return async () => JSON.stringify((await broker.admin.offsets(topic)).map(({ end }) => end))
  }
  const ids =
    moment === 'marker'
      ? Array.from({ length: partitions }, (_, partition) => markerId(partition))
      : loadTenants.flatMap((tenant) => loadKeys(tenant, 'documents')).map(manifestId)
  const withPayload = { selectorOptions: { case: 'include' as const, value: { fields: ['fence', 'applied'] } } }
  return async () => {
    const { result } = await qdrant.points.get({ collectionName: collection, ids, withPayload }, { timeoutMs: 5_000 })
    return JSON.stringify(result.map(({ id, payload }) => [id?.pointIdOptions.value, readPayload(payload)]).sort())
  }
}

const WAIT_MS_MAX = 3_000
