import { qdrantContents } from '../connectors/qdrant/contents.ts'
import type { EraseWorld } from '../maintenance/erasure-world.ts'
import { rolesIn, spaceOfCollection, spacesKeptIn } from '../processors/collections.ts'
import { actions, catalogue, control, documents, vectors } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import { Fatal } from '../streams/errors.ts'
import { nameIn, type Scope, type Topic } from '../streams/topic.ts'
import type { Decider } from './administration.ts'
import type { PlatformConfig } from './config.ts'
import { openEpochs } from './epoch.ts'
import { type Outside, openOutside } from './outside.ts'
import { sourcesOf } from './sources.ts'

export interface Erasing extends EraseWorld {
  close(): Promise<void>
}

/** The world of an erasure: the log, and every collection of every space that Qdrant has under our prefix. `space`: the configured one. */
export async function openErasing(config: PlatformConfig, space: string, decider: Decider): Promise<Erasing> {
  const sources = sourcesOf(config)
  const outside = openOutside(config, { clientId: 'freshet-erase' })
  try {
    return await openWith(outside, { prefix: config.topicPrefix, space }, sources, decider)
  } catch (error) {
    await outside.close()
    throw error
  }
}

async function openWith(outside: Outside, scope: Scope, sources: readonly Topic[], decider: Decider): Promise<Erasing> {
  const { broker } = outside
  const serde = outside.serde(scope)
  await broker.admin.ready(READY_MS)
  const topics = await broker.admin.topics()
  const missing = [...catalogue, ...sources]
    .filter((topic) => topic.name !== vectors.name)
    .map((topic) => nameIn(scope, topic))
    .find((name) => !topics.some((topic) => topic.name === name))
  if (missing !== undefined) throw new Fatal(`topic ${missing} does not exist; start a worker, which creates it`)
  await serde.register([control, actions])
  const epochs = await openEpochs(broker, serde, scope)
  await epochs.check()
  const entries = await outside.controlNow(scope)
  const qdrant = outside.qdrant()
  const { collections } = await qdrant.read('collections', (options) => qdrant.collections.list({}, options))
  const spacesKept = [...spacesKeptIn(entries, scope)]
  const kept = new Set(spacesKept.flatMap((space) => [...rolesIn(entries, { ...scope, space }).keys()]))
  const indexes = collections.flatMap(({ name }) => {
    const of = spaceOfCollection(name, scope.prefix)
    if (of === null) return []
    return [{ ...qdrantContents(qdrant, { collection: name, space: of }), followed: kept.has(name) }]
  })
  const before = nameIn({ ...scope, space: '' }, vectors)
  const producer = await broker.producer()
  return {
    broker,
    serde,
    scope,
    partitions: topics.find(({ name }) => name === nameIn(scope, documents))!.partitions,
    epoch: epochs.epoch,
    spaces: topics.flatMap(({ name }) => (name.startsWith(before) ? [name.slice(before.length)] : [])),
    sources,
    indexes,
    clock: systemClock,
    ...decider,
    send: (records) => producer.send(records),
    async close() {
      await Promise.all([producer.close(), epochs.close()])
      await outside.close()
    },
  }
}

const READY_MS = 5_000
