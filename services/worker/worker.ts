import { connectQdrant } from '../../connectors/qdrant/client.ts'
import { ensureCollection } from '../../connectors/qdrant/collection.ts'
import { qdrantContents } from '../../connectors/qdrant/contents.ts'
import { qdrantKnownVectors } from '../../connectors/qdrant/known-vectors.ts'
import { qdrantIndex } from '../../connectors/qdrant/vector-index.ts'
import { comparePartition } from '../../maintenance/compare-partition.ts'
import { embedDocuments } from '../../processors/embed-documents.ts'
import { indexVectors } from '../../processors/index-vectors.ts'
import { ingestDocuments } from '../../processors/ingest-documents.ts'
import { vectorCache } from '../../processors/vector-cache.ts'
import type { Document } from '../../schemas/records.ts'
import { deadLetters, documents } from '../../schemas/topics.ts'
import type { NewRecord } from '../../streams/broker.ts'
import { systemClock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'
import { nameIn } from '../../streams/topic.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import { keyWrittenSince } from '../../streams/written-since.ts'
import { addressesOf, rolePorts, type WorkerConfig } from '../config.ts'
import { openEngine } from '../engine.ts'
import { checkEpoch } from '../epoch.ts'
import { openPlatform, persistently } from '../platform.ts'
import { probe } from '../probe.ts'
import { openFrame } from '../process.ts'
import { auditing } from './auditing.ts'
import { engineMetrics, observed } from './metrics.ts'

/** Runs the stream processors on Kafka; more workers share the partitions. `open` makes the engine. */
export async function runWorker(config: WorkerConfig, open = openEngine): Promise<void> {
  const frame = await openFrame({
    role: 'worker',
    host: config.host,
    adminPort: rolePorts(config).worker,
    logLevel: config.logLevel,
  })
  const { log, metrics, states } = frame
  let state: string | null = 'starting'
  frame.ready(() => state)

  const engine = await open(config, {
    workers: config.embedWorkers,
    models: addressesOf(config).models,
    queries: false,
    log,
  })
  frame.closing(() => engine.close())
  const platform = await openPlatform(config, engine.space.id, frame)
  const { broker, serde, scope, epochs, collection, addresses } = platform
  frame.closing(() => broker.close())
  frame.closing(() => epochs.close())
  const qdrant = connectQdrant({ url: addresses.qdrant, ...(config.qdrantApiKey && { apiKey: config.qdrantApiKey }) })
  const spec = { collection, space: engine.space.id, dimensions: engine.space.dimensions }
  await persistently('Qdrant', frame, () => ensureCollection(qdrant, spec))

  const known = qdrantKnownVectors(qdrant, spec, (error) =>
    log.warn({ reason: reasonOf(error) }, 'the index did not say what it knows; embedding'),
  )
  const now = Date.now
  const compare = comparePartition({
    broker,
    serde,
    scope,
    partitions: config.partitions,
    contents: qdrantContents(qdrant, spec),
    epoch: () => platform.epoch,
    clock: systemClock,
    found: (partition, differences) => log.info({ partition, differences }, 'compared with documents'),
  })
  const stages = [
    stage(ingestDocuments, {
      writtenSince: (key, offset) => keyWrittenSince(broker, nameIn(scope, documents), key, offset),
    }),
    stage(embedDocuments, {
      engine,
      known,
      cache: vectorCache({ bytesMax: config.vectorCacheBytesMax }),
      now,
      decodeDocument: (bytes) => serde.decode(documents, bytes) as Promise<Document>,
      counted: engineMetrics(metrics, engine),
      compare,
    }),
    stage(indexVectors, { index: qdrantIndex(qdrant, spec), now, markers: new Map(), compare }),
  ]
  const observer = observed(metrics, log, now)
  const audits = auditing(config, metrics, log)
  frame.ready(observer.waiting)
  const runners = await runTopology(stages, {
    broker,
    serde,
    scope,
    partitions: config.partitions,
    deadLetters,
    clock: systemClock,
    observer: audits.watched(observer),
    states,
    identified: epochs.identified,
    sessionTimeoutMs: config.sessionTimeoutMs,
    failed: frame.fail,
  })
  const subject = nameIn(scope, documents)
  frame.closing(probe(states, { state: 'source-recreated', subject, ask: epochs.check }))
  const recheck = () => Promise.all(runners.map((runner) => runner.recheck()))
  frame.closing(probe(states, { state: 'kafka-unreachable', subject: 'worker', ask: recheck }))
  const redoer = await broker.producer()
  const send = (records: readonly NewRecord[]) => redoer.send(records)
  const contents = qdrantContents(qdrant, spec)
  frame.closing(
    audits.start(systemClock, async () => {
      const { epoch } = platform
      const shared = { broker, serde, scope, contents, send, partitions: config.partitions, clock: systemClock }
      return { ...shared, epoch, check: () => checkEpoch(epochs, epoch) }
    }),
  )
  // From the end of the path to its beginning, so that nothing new comes while a stage drains.
  frame.closing(async () => {
    state = 'stopping'
    await Promise.all(runners.map((runner) => runner.close()))
  })
  for (const line of describeTopology(
    stages.map(({ processor }) => processor),
    scope,
  ))
    log.info(line)
  state = null
  log.info({ space: engine.space.id, fingerprint: engine.fingerprint.slice(0, 16), collection }, 'worker ready')
}
