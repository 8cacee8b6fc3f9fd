import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { audit } from '../maintenance/audit.ts'
import type { RolloutFacts } from '../maintenance/rollout.ts'
import type { RolloutWorld } from '../maintenance/rollout-loop.ts'
import {
  allStatesIn,
  collectionKey,
  servingIn,
  servingKey,
  spaceKey,
  spaceOfCollection,
} from '../processors/collections.ts'
import type { Control, Progress, SpaceModel } from '../schemas/records.ts'
import { control, documents, progress, redo } from '../schemas/topics.ts'
import type { NewRecord } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Fatal } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { checkEpoch, openEpochs } from './epoch.ts'
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
  const serde = outside.serde(scope)
  await broker.admin.ready(READY_MS)
  const present = new Set((await broker.admin.topics()).map(({ name }) => name))
  const missing = [control, progress, redo, documents]
    .map((topic) => nameIn(scope, topic))
    .find((name) => !present.has(name))
  if (missing !== undefined) throw new Fatal(`topic ${missing} does not exist; start a worker, which creates it`)
  await serde.register([control, progress, redo, documents])
  const epochs = await openEpochs(broker, serde, scope)
  await epochs.check()
  const qdrant = outside.qdrant()
  let failure: Error | null = null
  const failed = (error: Error): void => {
    failure = error
  }
  const controlTable = await outside.control(scope, { failed })
  const progressTable = await openTable(progress, { broker, serde, scope, failed })
  const producer = await broker.producer()
  const isOurs = (collection: string): boolean => spaceOfCollection(collection, scope.prefix) !== null

  const write = async (key: string, record: Partial<Control>): Promise<void> => {
    const value = serde.encode(control, record)
    const partition = partitionOf(key, control.partitions as number)
    await producer.send([{ topic: nameIn(scope, control), partition, key, value }])
  }

  const facts = async (): Promise<RolloutFacts> => {
    const [listed, offsets] = await Promise.all([
      qdrant.read('collections', (options) => qdrant.collections.list({}, options)),
      broker.admin.offsets(nameIn(scope, documents)),
      controlTable.sync(),
      progressTable.sync(),
    ])
    if (failure !== null) throw failure
    const decided = new Map(controlTable.entries())
    const record = decided.get(servingKey)?.serving ?? null
    return {
      prefix: scope.prefix,
      serving: servingIn(decided, scope),
      servingSince: record?.since ?? null,
      canary: record?.canary ?? null,
      spaces: spacesIn(decided),
      states: allStatesIn(decided),
      present: new Set(listed.collections.map(({ name }) => name).filter(isOurs)),
      epoch: epochs.epoch,
      ends: offsets.toSorted((a, b) => a.partition - b.partition).map(({ end }) => end),
      progress: progressIn(progressTable.entries(), isOurs),
      now: Date.now(),
    }
  }

  return {
    outside,
    facts,
    know: (space, model) => write(spaceKey(space), { space: model }),
    declare: (collection, state) => write(collectionKey(collection), { collection: state }),
    serve: ({ place, since, canary }) => write(servingKey, { serving: { ...place, since, canary } }),
    async remove(collection) {
      const exists = await qdrant.read('collectionExists', (options) =>
        qdrant.collections.collectionExists({ collectionName: collection }, options),
      )
      if (exists.result?.exists === true)
        await qdrant.write('the removal of a collection', (options) =>
          qdrant.collections.delete({ collectionName: collection }, options),
        )
      const keys = Array.from(progressTable.entries(), ([key]) => key).filter(
        (key) => key.slice(0, key.lastIndexOf('/')) === collection,
      )
      const topic = nameIn(scope, progress)
      await producer.send(keys.map((key): NewRecord => ({ topic, partition: 0, key, value: null })))
    },
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
    wait: (ms, signal) => systemClock.wait(ms, signal),
    async close() {
      await Promise.all([controlTable.close(), progressTable.close(), producer.close(), epochs.close()])
      await broker.close()
    },
  }
}

/** Which model each space is of. */
export function spacesIn(decided: ReadonlyMap<string, Control>): Map<string, SpaceModel> {
  const spaces = new Map<string, SpaceModel>()
  for (const [key, { space }] of decided) if (space !== null) spaces.set(key.slice(spaceKey('').length), space)
  return spaces
}

function progressIn(
  records: Iterable<readonly [string, Progress]>,
  isOurs: (collection: string) => boolean,
): Map<string, Map<number, Progress>> {
  const found = new Map<string, Map<number, Progress>>()
  for (const [, value] of records) {
    if (!isOurs(value.collection)) continue
    const own = found.get(value.collection) ?? new Map<number, Progress>()
    found.set(value.collection, own.set(value.partition, value))
  }
  return found
}

const READY_MS = 5_000
