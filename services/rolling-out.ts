import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { audit } from '../maintenance/audit.ts'
import type { RolloutFacts } from '../maintenance/rollout.ts'
import type { RolloutWorld } from '../maintenance/rollout-loop.ts'
import { allStatesIn, servingIn, servingKey, spaceKey, spaceOfCollection } from '../processors/collections.ts'
import type { Control, SpaceModel } from '../schemas/records.ts'
import { documents, redo } from '../schemas/topics.ts'
import { systemClock } from '../streams/clock.ts'
import type { Scope } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { openDeciding } from './deciding.ts'
import { checkEpoch } from './epoch.ts'
import { type Outside, openOutside } from './outside.ts'

/** The world of a rollout: `control` and `progress`, followed, `documents`, and Qdrant. */
export interface RollingOut extends RolloutWorld {
  readonly outside: Outside
  close(): Promise<void>
}

/** `configured`: the space of the configured model, for a platform that has written down nothing yet. */
export async function openRollingOut(config: PlatformConfig, configured: string): Promise<RollingOut> {
  const scope: Scope = { prefix: config.topicPrefix, space: configured }
  const outside = openOutside(config, { clientId: 'freshet-rollout' })
  const { broker } = outside
  await broker.admin.ready(READY_MS)
  const deciding = await openDeciding(outside, scope, documents)
  const { epochs, producer, qdrant, write, known, declare, remove, wait, close } = deciding
  const isOurs = (collection: string): boolean => spaceOfCollection(collection, scope.prefix) !== null

  const facts = async (): Promise<RolloutFacts> => {
    const { decided, ...present } = await known(isOurs)
    const record = decided.get(servingKey)?.serving ?? null
    return {
      ...present,
      prefix: scope.prefix,
      serving: servingIn(decided, scope),
      servingSince: record?.since ?? null,
      canary: record?.canary ?? null,
      spaces: spacesIn(decided),
      states: allStatesIn(decided),
      epoch: epochs.epoch,
    }
  }

  return {
    outside,
    facts,
    know: (space, model) => write(spaceKey(space), { space: model }),
    declare,
    serve: ({ place, since, canary }) => write(servingKey, { serving: { ...place, since, canary } }),
    remove,
    async verify(collection, signal) {
      const space = spaceOfCollection(collection, scope.prefix)!
      const own = { ...scope, space }
      const ownSerde = outside.serde(own)
      await ownSerde.register([documents, redo])
      const { epoch } = epochs
      return audit(
        {
          broker,
          contents: qdrantContents(qdrant, { collection, space }),
          serde: ownSerde,
          scope: own,
          partitions: (await facts()).ends.length,
          epoch,
          check: () => checkEpoch(epochs, epoch),
          clock: systemClock,
          send: (records) => producer.send(records),
        },
        { repair: true, signal },
      )
    },
    wait,
    close,
  }
}

/** Which model each space is of. */
export function spacesIn(decided: ReadonlyMap<string, Control>): Map<string, SpaceModel> {
  const spaces = new Map<string, SpaceModel>()
  for (const [key, { space }] of decided) if (space !== null) spaces.set(key.slice(spaceKey('').length), space)
  return spaces
}

const READY_MS = 5_000
