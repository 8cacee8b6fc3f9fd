import { qdrantContents } from '../connectors/qdrant/contents.ts'
import { qdrantSearch } from '../connectors/qdrant/search.ts'
import type { Space } from '../engine/embedder.ts'
import { audit } from '../maintenance/audit.ts'
import type { Facts } from '../maintenance/rebuild.ts'
import type { RebuildWorld } from '../maintenance/rebuild-loop.ts'
import { candidateIn as rolledOutIn } from '../maintenance/rollout.ts'
import {
  allStatesIn,
  collectionKey,
  generationOf,
  servingIn,
  servingKey,
  spaceKey,
  statesIn,
} from '../processors/collections.ts'
import type { IndexContents } from '../processors/index-contents.ts'
import type { Control, Progress, Redo } from '../schemas/records.ts'
import { control, documents, progress, redo, vectors } from '../schemas/topics.ts'
import type { Broker, NewRecord } from '../streams/broker.ts'
import { systemClock } from '../streams/clock.ts'
import { Fatal } from '../streams/errors.ts'
import { partitionOf } from '../streams/partitioner.ts'
import type { Serde } from '../streams/serde.ts'
import { openTable } from '../streams/table.ts'
import { nameIn, type Scope } from '../streams/topic.ts'
import type { PlatformConfig } from './config.ts'
import { controlNow } from './control-now.ts'
import { checkEpoch, openEpochs } from './epoch.ts'
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
  const serde = outside.serde(scope)
  const present = new Set((await broker.admin.topics()).map(({ name }) => name))
  const missing = [control, progress, redo, vectors]
    .map((topic) => nameIn(scope, topic))
    .find((name) => !present.has(name))
  if (missing !== undefined) throw new Fatal(`topic ${missing} does not exist; start a worker, which creates it`)
  await serde.register([control, progress, redo, documents])
  const epochs = await openEpochs(broker, serde, scope)
  await epochs.check()
  const qdrant = outside.qdrant()
  let failure: Error | null = null
  const shared = { broker, serde, scope, failed: (error: Error) => (failure = error) }
  const controlTable = await outside.control(scope, shared)
  const progressTable = await openTable(progress, shared)
  const producer = await broker.producer()

  const write = async (key: string, record: Partial<Control>): Promise<void> => {
    const value = serde.encode(control, record)
    const partition = partitionOf(key, control.partitions as number)
    await producer.send([{ topic: nameIn(scope, control), partition, key, value }])
  }

  const facts = async (): Promise<Facts> => {
    const [listed, offsets] = await Promise.all([
      qdrant.read('collections', (options) => qdrant.collections.list({}, options)),
      broker.admin.offsets(nameIn(scope, vectors)),
      controlTable.sync(),
      progressTable.sync(),
    ])
    if (failure !== null) throw failure
    const decided = new Map(controlTable.entries())
    return {
      scope,
      serving: servingIn(decided, scope).collection,
      servingSince: controlTable.get(servingKey)?.serving?.since ?? null,
      states: statesIn(decided, scope),
      present: new Set(listed.collections.map(({ name }) => name).filter((name) => generationOf(name, scope) !== null)),
      ends: offsets.toSorted((a, b) => a.partition - b.partition).map(({ end }) => end),
      progress: progressIn(progressTable.entries(), scope),
      rolledOut: rolledOutIn({ serving: servingIn(decided, scope), states: allStatesIn(decided) }),
      now: Date.now(),
    }
  }

  return {
    broker,
    serde,
    scope,
    facts,
    declare: (collection, state) => write(collectionKey(collection), { collection: state }),
    serve: (collection) => write(servingKey, { serving: { space, collection, since: Date.now(), canary: null } }),
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
    wait: (ms, signal) => systemClock.wait(ms, signal),
    count: async () => qdrantSearch(qdrant, { collection: (await facts()).serving, space, dimensions }).count(),
    async close() {
      await Promise.all([controlTable.close(), progressTable.close(), producer.close(), epochs.close()])
      await broker.close()
    },
  }
}

function progressIn(records: Iterable<readonly [string, Progress]>, scope: Scope): Map<string, Map<number, Progress>> {
  const found = new Map<string, Map<number, Progress>>()
  for (const [, value] of records) {
    if (generationOf(value.collection, scope) === null) continue
    const own = found.get(value.collection) ?? new Map<number, Progress>()
    found.set(value.collection, own.set(value.partition, value))
  }
  return found
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
