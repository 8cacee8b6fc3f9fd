import { qdrantContents } from '../../connectors/qdrant/contents.ts'
import { buryConnectLetters } from '../../processors/bury-connect-letters.ts'
import { type Place, servingIn } from '../../processors/collections.ts'
import { ingestFrom } from '../../processors/ingest-documents.ts'
import { catalogue, connectDeadLetters, deadLetters, documents, vectors } from '../../schemas/topics.ts'
import type { NewRecord } from '../../streams/broker.ts'
import { systemClock } from '../../streams/clock.ts'
import { foreignReader } from '../../streams/foreign.ts'
import type { Serde } from '../../streams/serde.ts'
import { nameIn } from '../../streams/topic.ts'
import { describeTopology, runTopology, stage } from '../../streams/topology.ts'
import { Turns } from '../../streams/turns.ts'
import { keyWrittenSince } from '../../streams/written-since.ts'
import { addressesOf, configuredQuota, configuredSourceQuota, rolePorts, type WorkerConfig } from '../config.ts'
import { engineGuard, goldenRecords } from '../embedding-guard.ts'
import { configuredFor, modelIn, openEngine, spaceIn } from '../engine.ts'
import { checkEpoch } from '../epoch.ts'
import { mappingsOf } from '../mappings.ts'
import { openPlatform, type Platform, persistently } from '../platform.ts'
import { probe } from '../probe.ts'
import { openFrame } from '../process.ts'
import { quotaMetrics } from '../quota-metrics.ts'
import { sourceKey } from '../quotas.ts'
import { makeSources, sourcesOf } from '../sources.ts'
import { attributeIndexes } from './attribute-indexes.ts'
import { auditing } from './auditing.ts'
import { bulkRoom } from './bulk-room.ts'
import { knowConfigured } from './configured-space.ts'
import { erasedTenants } from './erased-tenants.ts'
import { followPlatform } from './followed.ts'
import { engineMetrics, observed } from './metrics.ts'
import { sourceAdmission } from './source-admission.ts'
import { keepSpaces } from './spaces.ts'

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

  const configured = { ...modelIn(config), space: spaceIn(config) }
  const platform = await openPlatform(config, configured.space.id, frame, withoutVectors)
  const { broker, serde, scope, epochs } = platform
  frame.closing(() => broker.close())
  frame.closing(() => epochs.close())
  const followed = await followPlatform(platform, frame.fail)
  frame.closing(() => followed.close())
  await persistently('the spaces', frame, () => knowConfigured(platform, followed, configured, log))
  const qdrant = platform.outside.qdrant()
  const serving = (): Place => servingIn(followed.decided(), scope)
  const observer = observed(metrics, log, Date.now)
  const audits = auditing(config, metrics, log, () => serving().space)
  frame.ready(observer.waiting)
  const runtime = {
    alone: new Turns(),
    broker,
    serde,
    scope,
    partitions: config.partitions,
    deadLetters,
    clock: systemClock,
    observer,
    states,
    identified: epochs.identified,
    sessionTimeoutMs: config.sessionTimeoutMs,
    failed: frame.fail,
  }
  const guard = engineGuard(config, frame, goldenRecords(followed, platform))
  const spaces = keepSpaces({
    config,
    platform,
    followed,
    qdrant,
    runtime,
    metrics: engineMetrics(metrics),
    open: async (model) =>
      guard(
        await open(configuredFor(config, model), {
          workers: config.embedWorkers,
          models: addressesOf(config).models,
          queries: false,
          instance: `worker-${rolePorts(config).worker}`,
          log,
        }),
      ),
    watched: audits.watched,
    keepIndexes: attributeIndexes({ qdrant, declared: config.attributes, metrics, log }),
    log,
  })
  frame.ready(spaces.missing)
  const sources = sourcesOf(config)
  const mappings = mappingsOf(config)
  await persistently('the sources', frame, () => makeSources(platform, config, [...sources, connectDeadLetters]))
  const erased = erasedTenants(followed.get, metrics, log)
  const bulk = bulkRoom({
    lagMax: config.bulkLagMax,
    wanted: () =>
      sources.some(
        ({ name }) => followed.get(sourceKey(name))?.source?.bulk ?? mappings.get(name)?.priority === 'bulk',
      ),
    ends: () => broker.admin.offsets(nameIn(scope, documents)),
    low: spaces.low,
    clock: systemClock,
    failed: frame.fail,
  })
  frame.closing(async () => bulk.close())
  const quotas = { tenant: configuredQuota(config), source: configuredSourceQuota(config) }
  const admission = sourceAdmission({ control: followed.get, configured: quotas, bulk, mappings, now: Date.now })
  quotaMetrics(metrics, () => admission.left(Date.now()))
  const ingest = stage(ingestFrom(sources), {
    admit: admission.admit,
    attributes: config.attributes,
    erasedAt: erased.at,
    leftOut: erased.leftOut,
    mapped: { mappings, reader: foreignReader(platform.outside.registry) },
    truncated: (topic) => states.raise('source-truncated', topic, `${topic} was truncated`, { stays: true }),
    writtenSince: (key, offset) => keyWrittenSince(broker, nameIn(scope, documents), key, offset),
  })
  const runners = await runTopology([ingest, stage(buryConnectLetters, {})], runtime)
  const subject = nameIn(scope, documents)
  frame.closing(probe(states, { state: 'source-recreated', subject, ask: epochs.check }))
  const recheck = () => Promise.all([...runners, spaces].map((each) => each.recheck()))
  frame.closing(probe(states, { state: 'kafka-unreachable', subject: 'worker', ask: recheck }))
  const redoer = await broker.producer()
  const send = (records: readonly NewRecord[]) => redoer.send(records)
  const serdeOf = serdes(platform)
  frame.closing(
    audits.start(systemClock, async () => {
      const { epoch } = platform
      const { space, collection } = serving()
      const contents = qdrantContents(qdrant, { collection, space })
      const shared = { broker, contents, send, partitions: config.partitions, clock: systemClock }
      const own = { scope: { ...scope, space }, serde: await serdeOf(space) }
      return { ...shared, ...own, epoch, check: () => checkEpoch(epochs, epoch) }
    }),
  )
  // All at once: what is under way is acknowledged or is the next owner's.
  frame.closing(async () => {
    state = 'stopping'
    await Promise.all([...runners, spaces].map((each) => each.close()))
  })
  for (const line of describeTopology([ingest.processor], scope)) log.info(line)
  await spaces.started
  state = null
  log.info({ ...serving(), configured: configured.space.id }, 'worker ready')
}

/** Each space makes its own. */
const withoutVectors = catalogue.filter((topic) => topic !== vectors)

/** Of the topics of each space, once made. */
function serdes({ outside, scope }: Platform): (space: string) => Promise<Serde> {
  const known = new Map<string, Serde>()
  return async (space) => {
    const serde = known.get(space) ?? outside.serde({ ...scope, space })
    await serde.register(catalogue)
    known.set(space, serde)
    return serde
  }
}
