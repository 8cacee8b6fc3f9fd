import type { Engine } from '../engine/embedder.ts'
import { hashEngine } from '../engine/hash-engine.ts'
import type { Document } from '../schemas/records.ts'
import { control, deadLetters, documents } from '../schemas/topics.ts'
import { type VirtualClock, virtualClock } from '../streams/clock.ts'
import type { Low } from '../streams/low.ts'
import type { Compared } from '../streams/processor.ts'
import { type DriverOptions, type TestDriver, testTopology } from '../streams/test-driver.ts'
import { type Stage, stage } from '../streams/topology.ts'
import { keyWrittenSince } from '../streams/written-since.ts'
import { isDocumentKey } from './document-key.ts'
import { type ChunkCounts, type EmbedPorts, embedDocuments } from './embed-documents.ts'
import { indexVectors } from './index-vectors.ts'
import { ingestDocuments } from './ingest-documents.ts'
import { type MemoryIndex, memoryIndex } from './memory-index.ts'
import { vectorCache } from './vector-cache.ts'

/** The whole pipeline without Kafka, model or Qdrant: the real processors and the real loop, in memory. */
export interface MemoryPipeline extends AsyncDisposable {
  readonly driver: TestDriver
  readonly index: MemoryIndex
  readonly engine: Engine
  /** Chunks by where their vector came from, since the start. */
  readonly counts: { embedded: number; fromCache: number; fromIndex: number }
  /**
   * Compares with the oracle: what the index serves equals what splitting and embedding the latest record of each key in
   * `documents` gives. Answers the differences in words.
   */
  differences(): Promise<string[]>
}

export async function memoryPipeline({
  partitions = 2,
  cacheBytesMax = 0,
  engine = hashEngine(),
  index = memoryIndex({ space: engine.space.id }),
  from = 'inbox',
  clock = virtualClock(),
  compare = async () => Promise.reject(new Error('nothing is compared here')),
  identified,
  erasedAt,
}: {
  partitions?: number
  cacheBytesMax?: number
  engine?: Engine
  index?: MemoryIndex
  from?: 'inbox' | 'documents'
  clock?: VirtualClock
  /** Default: a stage that would have to compare fails. */
  compare?: (compared: Compared, driver: TestDriver) => Promise<Low>
  identified?: DriverOptions['identified']
  erasedAt?: (tenant: string) => number | null
} = {}): Promise<MemoryPipeline> {
  const counts = { embedded: 0, fromCache: 0, fromIndex: 0 }
  const ports: EmbedPorts = {
    engine,
    known: index,
    cache: vectorCache({ bytesMax: cacheBytesMax }),
    now: clock.now,
    decodeDocument: async (bytes) => (await driver.serde.decode(documents, bytes)) as Document,
    compare: (compared) => compare(compared, driver),
    counted(each: ChunkCounts) {
      counts.embedded += each.embedded
      counts.fromCache += each.fromCache
      counts.fromIndex += each.fromIndex
    },
  }
  const stages: Stage[] = [
    stage(embedDocuments, ports),
    stage(indexVectors, { index, now: clock.now, markers: new Map(), compare: ports.compare }),
  ]
  if (from === 'inbox') {
    const writtenSince = (key: string, offset: number) => keyWrittenSince(driver.broker, documents.name, key, offset)
    stages.unshift(stage(ingestDocuments, { writtenSince, ...(erasedAt && { erasedAt }) }))
  }
  const driver: TestDriver = await testTopology(stages, {
    partitions,
    clock,
    deadLetters,
    also: [control],
    ...(identified && { identified }),
  })

  return {
    driver,
    index,
    engine,
    counts,
    async differences() {
      const expected = await served(driver, engine)
      const actual = new Map(
        index
          .served()
          .map(({ key, ordinal, text, vector }) => [`${key}#${ordinal}`, `${text} ${vector.toString('hex')}`]),
      )
      return [
        ...[...expected].flatMap(([id, chunk]) =>
          !actual.has(id) ? [`missing ${id}`] : actual.get(id) !== chunk ? [`stale ${id}`] : [],
        ),
        ...[...actual.keys()].flatMap((id) => (expected.has(id) ? [] : [`orphan ${id}`])),
      ]
    },
    async [Symbol.asyncDispose]() {
      await driver[Symbol.asyncDispose]()
    },
  }
}

/** F of the latest record of each key. */
async function served(driver: TestDriver, engine: Engine): Promise<Map<string, string>> {
  const latest = new Map<string, Document | null>()
  for (const { key, value } of await driver.records(documents))
    if (isDocumentKey(key)) latest.set(key, value as Document | null)
  const chunks = new Map<string, string>()
  for (const [key, document] of latest) {
    for (const { ordinal, text } of document === null ? [] : await engine.split(document.text)) {
      const [vector] = await engine.embed([text], { as: 'document' })
      chunks.set(`${key}#${ordinal}`, `${text} ${Buffer.from(vector!.buffer).toString('hex')}`)
    }
  }
  return chunks
}
