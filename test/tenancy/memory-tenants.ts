import { qdrantKnownVectors } from '../../connectors/qdrant/known-vectors.ts'
import { qdrantSearch, type SearchIndex } from '../../connectors/qdrant/search.ts'
import { qdrantIndex } from '../../connectors/qdrant/vector-index.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import { embedDocuments } from '../../processors/embed-documents.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { vectorCache } from '../../processors/vector-cache.ts'
import type { Document } from '../../schemas/records.ts'
import { control, deadLetters, documents, inbox, ingestPositions } from '../../schemas/topics.ts'
import { tokenOf } from '../../search/freshness.ts'
import type { Platform } from '../../services/platform.ts'
import { followFreshness } from '../../services/query/freshness-follower.ts'
import { type OperationPorts, unlimited } from '../../services/query/operations.ts'
import type { Position } from '../../streams/broker.ts'
import { FIRST_EPOCH } from '../../streams/low.ts'
import { partitionOf } from '../../streams/partitioner.ts'
import { testTopology } from '../../streams/test-driver.ts'
import { stage } from '../../streams/topology.ts'
import { declaredAttributes } from '../declared.ts'
import { type MemoryQdrant, memoryQdrant } from './memory-qdrant.ts'

const PARTITIONS = 3

export type MemoryTenants = Awaited<ReturnType<typeof memoryTenants>>

export interface TenantsOptions {
  readonly index?: MemoryQdrant
  /** Put before the index that is searched. */
  readonly through?: (index: SearchIndex) => SearchIndex
}

/** The query service's operations, the stages behind them and the real connector to Qdrant, with a broker and a Qdrant in memory. */
export async function memoryTenants({ index = memoryQdrant(), through = (same) => same }: TenantsOptions = {}) {
  const engine = hashEngine()
  const { id: space, dimensions } = engine.space
  const counts = { embedded: 0 }
  const compare = () => Promise.reject(new Error('nothing is compared here'))
  // Named as the first collection of the driver's scope.
  const spec = { collection: 'es_test', space, dimensions }
  const unexpected = (error: unknown) => {
    throw error
  }
  const driver = await testTopology(
    [
      stage(embedDocuments, {
        engine,
        known: qdrantKnownVectors(index.qdrant, spec, unexpected),
        cache: vectorCache({ bytesMax: 0 }),
        now: () => driver.now(),
        decodeDocument: async (bytes) => (await driver.serde.decode(documents, bytes)) as Document,
        compare,
        counted({ embedded }) {
          counts.embedded += embedded
        },
      }),
      stage(indexVectors, {
        index: qdrantIndex(index.qdrant, spec),
        now: () => driver.now(),
        markers: new Map(),
        compare,
      }),
    ],
    { partitions: PARTITIONS, deadLetters, also: [control, inbox, ingestPositions] },
  )
  const { broker, serde, scope } = driver
  const platform = { broker, serde, scope, epoch: FIRST_EPOCH, epochs: { refusal: null } } as unknown as Platform
  const freshness = await followFreshness(
    platform,
    { partitions: PARTITIONS, sources: [inbox] },
    () => spec.collection,
    unexpected,
  )
  const { collection } = spec
  const serving = { space: spec.space, collection, index: through(qdrantSearch(index.qdrant, spec)), engine }
  const ports: OperationPorts = {
    serving: { of: () => serving, sync: async () => {} },
    freshness,
    producer: await broker.producer(),
    platform,
    partitions: PARTITIONS,
    quotas: unlimited,
    attributes: declaredAttributes,
  }
  return {
    driver,
    index,
    ports,
    counts,
    partitions: PARTITIONS,
    /** Resolves with where the record lies, as a token too. */
    async writePastTheDoor(key: string, value: object): Promise<{ token: string; position: Position }> {
      const partition = partitionOf(key, PARTITIONS)
      const record = { topic: documents.name, partition, key, value: serde.encode(documents, value as Document) }
      const [position] = await ports.producer.send([record])
      const token = tokenOf({ epoch: FIRST_EPOCH, documents: { [partition]: [position!.offset] } })
      return { token, position: position! }
    },
    /** Everything that was written is indexed, and known to be. */
    async settle(): Promise<void> {
      await driver.advance(2_000)
    },
    async [Symbol.asyncDispose]() {
      await freshness.close()
      await driver[Symbol.asyncDispose]()
    },
  }
}
