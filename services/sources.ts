import { ensureSources } from '../schemas/ensure-topics.ts'
import { catalogue, inbox, sourceNamed } from '../schemas/topics.ts'
import { Fatal } from '../streams/errors.ts'
import type { Topic } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { orWait, type Platform } from './platform.ts'

/** What ingest reads: `inbox`, and what is configured beside it. */
export function sourcesOf({ sources }: Pick<PlatformConfig, 'sources'>) {
  const ours = catalogue.map(({ name }) => name.replace('<space>', ''))
  for (const name of sources) {
    const taken = ours.find((each) => (each.endsWith('.') ? name.startsWith(each) : name === each))
    if (taken !== undefined)
      throw new Fatal(`sources: ${name} is a topic of the platform; name a topic that others write to`)
  }
  return [inbox, ...new Set(sources)].map((source) => (typeof source === 'string' ? sourceNamed(source) : source))
}

/** Creates those that are missing, with their schema, so that producers find it. */
export async function makeSources(
  { broker, serde, scope }: Pick<Platform, 'broker' | 'serde' | 'scope'>,
  { partitions, replicationFactor }: PlatformConfig,
  sources: readonly Topic[],
): Promise<void> {
  const created = await orWait(ensureSources(broker.admin, { scope, partitions, replicationFactor }, sources))
  if (created.length > 0) await serde.register(created)
}
