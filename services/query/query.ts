import { createServer } from 'node:http'
import type { WebSocket } from 'ws'
import { ensureCollection } from '../../connectors/qdrant/collection.ts'
import { qdrantSearch } from '../../connectors/qdrant/search.ts'
import type { Engine } from '../../engine/embedder.ts'
import type { Place } from '../../processors/collections.ts'
import { documents } from '../../schemas/topics.ts'
import { systemClock } from '../../streams/clock.ts'
import { nameIn } from '../../streams/topic.ts'
import { addressesOf, type QueryConfig, rolePorts } from '../config.ts'
import { followControl } from '../control-follower.ts'
import { engineGuard, goldenRecords } from '../embedding-guard.ts'
import { configuredFor, openEngine, openReranker, spaceIn } from '../engine.ts'
import { openPlatform, persistently } from '../platform.ts'
import { probe } from '../probe.ts'
import { openFrame } from '../process.ts'
import { quotaMetrics } from '../quota-metrics.ts'
import { makeSources, sourcesOf } from '../sources.ts'
import { openSpaceEngines } from '../space-engines.ts'
import { acceptSockets } from './accept-sockets.ts'
import { BULK_MS_MAX } from './bulk-request.ts'
import { followCallers } from './callers.ts'
import type { Connection, ConnectionPorts } from './connection.ts'
import { followPresentEpoch } from './freshness-of-epoch.ts'
import { answerHttp } from './http.ts'
import { leave } from './leaving.ts'
import { queryMetrics } from './query-metrics.ts'
import { followServing } from './serving.ts'
import { shadowing, shadowMetrics } from './shadow.ts'
import { standingMetrics } from './standing/standing-metrics.ts'
import { StandingSpaces } from './standing/standing-spaces.ts'

/** Search, publish and wait, over WebSocket and HTTP, for whoever the gateway says that asks. */
export async function runQuery(config: QueryConfig): Promise<void> {
  const frame = await openFrame({
    role: 'query',
    host: config.host,
    adminPort: rolePorts(config).queryAdmin,
    logLevel: config.logLevel,
  })
  const { log, metrics, states } = frame
  let state: string | null = 'starting'
  frame.ready(() => state)

  const instance = `query-${rolePorts(config).queryAdmin}`
  const open = async (model: QueryConfig) =>
    guard(await openEngine(model, { workers: 0, models: addressesOf(config).models, queries: true, instance, log }))
  const reranker = await openReranker(config, log)
  if (reranker !== null) frame.closing(() => reranker.close())
  const platform = await openPlatform(config, spaceIn(config).id, frame)
  frame.closing(() => platform.broker.close())
  frame.closing(() => platform.epochs.close())
  const qdrant = platform.outside.qdrant()
  const control = await followControl((options) => platform.outside.control(platform.scope, options), {
    subject: 'query',
    states,
    unheardMsMax: config.keysUnheardMsMax,
    failed: frame.fail,
  })
  frame.closing(() => control.close())
  const guard = engineGuard(config, frame, goldenRecords(control, null))
  const engines = await openSpaceEngines({
    control,
    scope: platform.scope,
    configured: spaceIn(config).id,
    openConfigured: () => open(config),
    openModel: (model) => open(configuredFor(config, model)),
    states,
    log,
    clock: systemClock,
  })
  frame.closing(() => engines.close())
  const specOf = ({ space, collection }: Place, { space: { dimensions } }: Engine) => ({
    collection,
    space,
    dimensions,
  })
  const openPlace = (place: Place) => {
    const engine = engines.of(place.space)
    return engine === null ? null : { index: qdrantSearch(qdrant, specOf(place, engine)), engine }
  }
  const serving = followServing(control, platform.scope, openPlace, engines.changed)
  serving.switched(() => {
    log.info({ collections: serving.all().map(({ collection }) => collection) }, 'other collections answer from now on')
  })
  const collection = () => serving.of(null).collection
  await persistently('Qdrant', frame, () => ensureCollection(qdrant, specOf(serving.of(null), serving.of(null).engine)))
  const sources = sourcesOf(config)
  await persistently('the sources', frame, () => makeSources(platform, config, sources))
  const what = { partitions: config.partitions, sources }
  const freshness = await followPresentEpoch(platform, what, (by) => serving.of(by).collection, frame.fail)
  frame.closing(() => freshness.close())
  frame.ready(() => {
    const ms = freshness.unheardMs()
    return ms < UNHEARD_MS_MAX ? null : `Kafka has not answered for ${Math.round(ms / 1_000)} s`
  })
  frame.closing(
    probe(states, { state: 'kafka-unreachable', subject: 'query', ask: () => platform.broker.admin.topics() }),
  )
  const subject = nameIn(platform.scope, documents)
  frame.closing(probe(states, { state: 'source-recreated', subject, ask: platform.epochs.check }))
  frame.closing(
    probe(states, {
      state: 'index-unreachable',
      subject: 'query',
      ask: () =>
        qdrant.read('whether it is there', (options) =>
          qdrant.collections.collectionExists({ collectionName: collection() }, options),
        ),
    }),
  )
  const producer = await platform.broker.producer()
  frame.closing(() => producer.close())

  const { attributes } = config
  const standing: StandingSpaces = new StandingSpaces({
    platform,
    partitions: config.partitions,
    serving,
    freshness,
    attributes,
    clock: systemClock,
    standingMax: config.standingQueriesMax,
    evaluated: standingMetrics(metrics, () => standing),
    failed: frame.fail,
  })
  frame.closing(() => standing.close())
  const connections = new Map<WebSocket, Connection>()
  const { ended, slow, refused } = queryMetrics(metrics, {
    unread: () => [...connections.keys()].map(({ bufferedAmount }) => bufferedAmount),
    asOf: () => freshness.asOf(collection()),
    sources: freshness.sources,
  })
  const callers = followCallers(config, control, (isNotGood, { code, reason }) => {
    for (const connection of connections.values())
      if (connection.principal !== null && isNotGood(connection.principal)) connection.revoke(code, reason)
  })
  quotaMetrics(metrics, callers.left)
  const share = config.shadowPercent / 100
  const measured = shadowMetrics(metrics)
  const ports: ConnectionPorts = {
    reranker,
    serving,
    searched: shadowing({ serving, freshness, share, random: Math.random, measured }),
    freshness,
    attributes,
    producer,
    platform,
    partitions: config.partitions,
    log,
    ended,
    slow,
    standing,
    clock: systemClock,
    identify: callers.identify,
    take: callers.take,
    quotas: callers.quotas,
  }
  const upgrade = acceptSockets(callers, ports, connections, refused)
  const server = createServer({ requestTimeout: BULK_MS_MAX }, answerHttp({ ...ports, callers, missing: () => state }))
  server.on('upgrade', upgrade)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(rolePorts(config).query, config.host, resolve)
  })
  frame.closing(async () => {
    state = 'stopping'
    server.close()
    await leave([...connections].map(([socket, { busy }]) => ({ socket, busy })))
  })
  state = null
  log.info({ space: serving.of(null).space, collection: collection(), port: rolePorts(config).query }, 'query ready')
}

/** Longer than this without word from Kafka, and the service says that it is not ready. */
const UNHEARD_MS_MAX = 10_000
