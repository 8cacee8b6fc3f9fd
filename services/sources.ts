import { ensureSources } from '../schemas/ensure-topics.ts'
import { catalogue, inbox, mappedNamed, sourceNamed } from '../schemas/topics.ts'
import { Fatal } from '../streams/errors.ts'
import type { Topic } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { mappingsOf } from './mappings.ts'
import { orWait, type Platform } from './platform.ts'

/** What ingest reads: `inbox`, and what is configured beside it, as documents or by a mapping. */
export function sourcesOf(config: Pick<PlatformConfig, 'sources' | 'mappings'>) {
  const { sources } = config
  const mapped = [...mappingsOf(config).keys()]
  const ours = catalogue.map(({ name }) => name.replace('<space>', ''))
  for (const name of [...sources, ...mapped]) {
    const taken = ours.find((each) => (each.endsWith('.') ? name.startsWith(each) : name === each))
    if (taken !== undefined)
      throw new Fatal(`sources: ${name} is a topic of the platform; name a topic that others write to`)
  }
  const twice = mapped.find((name) => sources.includes(name))
  if (twice !== undefined)
    throw new Fatal(
      `sources: ${twice} has a mapping as well; a topic is read as documents or by a mapping, leave one out`,
    )
  return [inbox, ...[...new Set(sources)].map(sourceNamed), ...mapped.map(mappedNamed)]
}

/** Creates those that are missing, with their schema, so that producers find it. */
export async function makeSources(
  { broker, serde, scope }: Pick<Platform, 'broker' | 'serde' | 'scope'>,
  { partitions, replicationFactor }: PlatformConfig,
  sources: readonly Topic[],
): Promise<void> {
  const created = await orWait(ensureSources(broker.admin, { scope, partitions, replicationFactor }, sources))
  const ours = created.filter(({ raw }) => raw !== true)
  if (ours.length > 0) await serde.register(ours)
}
