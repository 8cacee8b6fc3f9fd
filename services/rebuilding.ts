import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { qdrantSearch } from '../connectors/qdrant/search.ts'
import type { Space } from '../engine/embedder.ts'
import { audit } from '../maintenance/audit.ts'
import type { Facts } from '../maintenance/rebuild.ts'
import type { RebuildWorld } from '../maintenance/rebuild-loop.ts'
import { candidateIn as rolledOutIn } from '../maintenance/rollout.ts'
import { allStatesIn, generationOf, servingIn, servingKey, spaceKey, statesIn } from '../processors/collections.ts'
import type { IndexContents } from '../processors/index-contents.ts'
import type { Redo } from '../schemas/records.ts'
import { redo, vectors } from '../schemas/topics.ts'
import type { Broker, NewRecord } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import type { Serde } from '../streams/serde.ts'
import type { Scope } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { controlNow } from './control-now.ts'
import { openDeciding } from './deciding.ts'
import { checkEpoch } from './epoch.ts'
import { openOutside } from './outside.ts'

/** The world of a rebuild, of the space that answers: `control` and `progress`, followed, and Qdrant. */
export interface Rebuilding extends RebuildWorld {
  readonly broker: Broker
  readonly serde: Serde
  readonly scope: Scope
  /** Of the collection that serves. */
  count(): Promise<{ readonly documents: number; readonly chunks: number }>
  close(): Promise<void>
}

export async function openRebuilding(config: PlatformConfig, configured: Space): Promise<Rebuilding> {
  const outside = openOutside(config, { clientId: 'freshet-rebuild' })
  const { broker } = outside
  await broker.admin.ready(READY_MS)
  const decided = await controlNow(outside, config.topicPrefix)
  const { space } = servingIn(decided, { prefix: config.topicPrefix, space: configured.id })
  const scope: Scope = { prefix: config.topicPrefix, space }
  const dimensions = decided.get(spaceKey(space))?.space?.dimensions ?? configured.dimensions
  const deciding = await openDeciding(outside, scope, vectors)
  const { serde, epochs, producer, qdrant, write, known, declare, remove, wait, close } = deciding

  const facts = async (): Promise<Facts> => {
    const { decided, ...present } = await known((collection) => generationOf(collection, scope) !== null)
    const serving = servingIn(decided, scope)
    return {
      ...present,
      scope,
      serving: serving.collection,
      servingSince: decided.get(servingKey)?.serving?.since ?? null,
      states: statesIn(decided, scope),
      rolledOut: rolledOutIn({ serving, states: allStatesIn(decided) }),
    }
  }

  return {
    broker,
    serde,
    scope,
    facts,
    declare,
    serve: (collection) => write(servingKey, { serving: { space, collection, since: Date.now(), canary: null } }),
    remove,
    async verify(collection, signal) {
      const { serving, ends } = await facts()
      const { epoch } = epochs
      const contents = (of: string) => qdrantContents(qdrant, { collection: of, space })
      return audit(
        {
          broker,
          contents: contents(collection),
          serde,
          scope,
          partitions: ends.length,
          epoch,
          check: () => checkEpoch(epochs, epoch),
          clock: systemClock,
          send: async (records) => producer.send(await raised(records, contents(serving), serde)),
        },
        { repair: true, signal },
      )
    },
    wait,
    count: async () => qdrantSearch(qdrant, { collection: (await facts()).serving, space, dimensions }).count(),
    close,
  }
}

/** What is derived again must be newer than what the collection that serves has, too, or the embed stage has nothing to do. */
async function raised(records: readonly NewRecord[], serving: IndexContents, serde: Serde): Promise<NewRecord[]> {
  const manifests = await serving.manifestsOf(records.map(({ key }) => key!))
  return Promise.all(
    records.map(async (record, i) => {
      const again = (await serde.decode(redo, record.value!)) as Redo
      const fence = manifests[i]?.fence
      if (fence?.epoch !== again.epoch || fence.offset !== again.offset || fence.derivation < again.derivation)
        return record
      return { ...record, value: serde.encode(redo, { ...again, derivation: fence.derivation + 1 }) }
    }),
  )
}

const READY_MS = 5_000
