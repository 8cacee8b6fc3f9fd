import { qdrantContents } from '../../connectors/qdrant/contents.ts'
import { comparePartition } from '../../maintenance/compare-partition.ts'
import { embedDocuments } from '../../processors/embed-documents.ts'
import { ingestFrom } from '../../processors/ingest-documents.ts'
import { vectorCache } from '../../processors/vector-cache.ts'
import type { Compare } from '../../processors/vector-index.ts'
import type { Document } from '../../schemas/records.ts'
import { deadLetters, documents } from '../../schemas/topics.ts'
import type { NewRecord } from '../../streams/broker.ts'
import { systemClock } from '../../streams/clock.ts'
import { reasonOf } from '../../streams/errors.ts'
import type { Runtime } from '../../streams/runner.ts'
import { nameIn } from '../../streams/topic.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import { Turns } from '../../streams/turns.ts'
import { keyWrittenSince } from '../../streams/written-since.ts'
import { addressesOf, configuredQuota, configuredSourceQuota, rolePorts, type WorkerConfig } from '../config.ts'
import { openEngine } from '../engine.ts'
import { checkEpoch } from '../epoch.ts'
import { openPlatform, persistently } from '../platform.ts'
import { probe } from '../probe.ts'
import { openFrame } from '../process.ts'
import { quotaMetrics } from '../quota-metrics.ts'
import { sourceKey } from '../quotas.ts'
import { makeSources, sourcesOf } from '../sources.ts'
import { auditing } from './auditing.ts'
import { bulkRoom } from './bulk-room.ts'
import { keepCollections } from './collections.ts'
import { erasedTenants } from './erased-tenants.ts'
import { knownInServing } from './known-in-serving.ts'
import { engineMetrics, observed } from './metrics.ts'
import { sourceAdmission } from './source-admission.ts'

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
  const { broker, serde, scope, epochs } = platform
  frame.closing(() => broker.close())
  frame.closing(() => epochs.close())
  const qdrant = platform.outside.qdrant()
  const { dimensions } = engine.space
  const contentsOf = (collection: string) => qdrantContents(qdrant, { collection, space: scope.space })
  const observer = observed(metrics, log, Date.now)
  const audits = auditing(config, metrics, log)
  frame.ready(observer.waiting)
  const runtime: Runtime = {
    alone: new Turns(),
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
  }
  /** Of a collection, with `documents`. */
  const compareIn = (collection: string): Compare =>
    comparePartition({
      broker,
      serde,
      scope,
      partitions: config.partitions,
      contents: contentsOf(collection),
      epoch: () => platform.epoch,
      clock: systemClock,
      found: (partition, differences) => log.info({ collection, partition, differences }, 'compared with documents'),
    })
  const recordsPerSecondMax = config.rebuildRecordsPerSecondMax
  const collections = await keepCollections({
    platform,
    qdrant,
    dimensions,
    runtime,
    recordsPerSecondMax,
    compareIn,
    log,
  })
  frame.ready(collections.missing)
  const sources = sourcesOf(config)
  await persistently('the sources', frame, () => makeSources(platform, config, sources))
  const control = await platform.outside.control(scope, { failed: frame.fail })
  await control.sync()
  frame.closing(() => control.close())
  const erased = erasedTenants(control.get, metrics, log)
  const bulk = bulkRoom({
    lagMax: config.bulkLagMax,
    wanted: () => sources.some(({ name }) => control.get(sourceKey(name))?.source?.bulk === true),
    ends: () => broker.admin.offsets(nameIn(scope, documents)),
    low: collections.low,
    clock: systemClock,
    failed: frame.fail,
  })
  frame.closing(async () => bulk.close())
  const configured = { tenant: configuredQuota(config), source: configuredSourceQuota(config) }
  const admission = sourceAdmission({ control: control.get, configured, bulk, now: Date.now })
  quotaMetrics(metrics, () => admission.left(Date.now()))
  const stages = [
    stage(ingestFrom(sources), {
      admit: admission.admit,
      erasedAt: erased.at,
      leftOut: erased.leftOut,
      writtenSince: (key, offset) => keyWrittenSince(broker, nameIn(scope, documents), key, offset),
    }),
    stage(embedDocuments, {
      engine,
      known: knownInServing(qdrant, engine.space, collections.serving, (error) =>
        log.warn({ reason: reasonOf(error) }, 'the index did not say what it knows; embedding'),
      ),
      cache: vectorCache({ bytesMax: config.vectorCacheBytesMax }),
      now: Date.now,
      decodeDocument: (bytes) => serde.decode(documents, bytes) as Promise<Document>,
      counted: engineMetrics(metrics, engine),
      compare: (compared) => compareIn(collections.serving())(compared),
    }),
  ]
  const [runners] = await Promise.all([runTopology(stages, runtime), collections.started])
  const subject = nameIn(scope, documents)
  frame.closing(probe(states, { state: 'source-recreated', subject, ask: epochs.check }))
  const recheck = () => Promise.all([...runners, collections].map((each) => each.recheck()))
  frame.closing(probe(states, { state: 'kafka-unreachable', subject: 'worker', ask: recheck }))
  const redoer = await broker.producer()
  const send = (records: readonly NewRecord[]) => redoer.send(records)
  frame.closing(
    audits.start(systemClock, async () => {
      const { epoch } = platform
      const contents = contentsOf(collections.serving())
      const shared = { broker, serde, scope, contents, send, partitions: config.partitions, clock: systemClock }
      return { ...shared, epoch, check: () => checkEpoch(epochs, epoch) }
    }),
  )
  // All at once: what is under way is acknowledged or is the next owner's.
  frame.closing(async () => {
    state = 'stopping'
    await Promise.all([...runners, collections].map((each) => each.close()))
  })
  for (const line of describeTopology(
    stages.map(({ processor }) => processor),
    scope,
  ))
    log.info(line)
  state = null
  const fingerprint = engine.fingerprint.slice(0, 16)
  log.info({ space: engine.space.id, fingerprint, collection: collections.serving() }, 'worker ready')
}
