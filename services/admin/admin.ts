import { Histogram } from 'prom-client'
import { erase } from '../../maintenance/erase.ts'
import { ensureTopics } from '../../schemas/ensure-topics.ts'
import { actions, control as controlTopic } from '../../schemas/topics.ts'
import { Fatal, reasonOf } from '../../streams/errors.ts'
import { decidingFor } from '../administration.ts'
import { type AdminConfig, rolePorts } from '../config.ts'
import { followControl } from '../control-follower.ts'
import { spaceIn } from '../engine.ts'
import { openErasing } from '../erasing.ts'
import { logStatus } from '../log-status.ts'
import { openOutside } from '../outside.ts'
import { persistently } from '../platform.ts'
import { openFrame } from '../process.ts'
import { sourcesOf } from '../sources.ts'
import { Refused } from './ports.ts'
import { adminServer } from './server.ts'

/**
 * What administrators do over HTTP. A role of its own, behind the gateway, so that the process that faces the internet has no right to write to
 * `control`, and none to erase.
 */
export async function runAdmin(config: AdminConfig): Promise<void> {
  const ports = rolePorts(config)
  const frame = await openFrame({
    role: 'admin',
    host: config.host,
    adminPort: ports.adminMetrics,
    logLevel: config.logLevel,
  })
  const { log, metrics, states } = frame
  let state: string | null = 'starting'
  frame.ready(() => state)
  const secrets = config.internalSecret
  if (secrets === undefined)
    throw new Fatal('internalSecret is not set: give it the FRESHET_INTERNAL_SECRET of the gateway')

  const outside = openOutside(config, {
    clientId: 'freshet-admin',
    log: (level, message, fields) => log[level]({ ...fields }, message),
  })
  frame.closing(() => outside.close())
  const { broker } = outside
  const scope = { prefix: config.topicPrefix, space: '' }
  const serde = outside.serde(scope)
  const topics = [controlTopic, actions]
  const { partitions, replicationFactor } = config
  await persistently('Kafka', frame, () => broker.admin.ready(READY_MS))
  await persistently('the schema registry', frame, () => serde.register(topics))
  await persistently('the topics', frame, () =>
    ensureTopics(broker.admin, { scope, partitions, replicationFactor }, topics),
  )
  const control = await persistently('the topic control', frame, () =>
    followControl((options) => outside.control(scope, options), {
      subject: 'admin',
      states,
      unheardMsMax: config.keysUnheardMsMax,
      failed: frame.fail,
    }),
  )
  frame.closing(() => control.close())
  const producer = await broker.producer()
  frame.closing(() => producer.close())

  const seconds = new Histogram({
    name: 'freshet_admin_request_seconds',
    help: 'Of administration over HTTP.',
    labelNames: ['route', 'code'],
    registers: [metrics],
    buckets: [0.01, 0.05, 0.25, 1, 5, 30, 60],
  })
  let erasures = 0
  const server = adminServer({
    control,
    secrets,
    operatorTenant: config.operatorTenant,
    now: Date.now,
    missing: () => state,
    async administer(decider, work) {
      if (control.unheardMs() > UNHEARD_MS_MAX)
        throw new Refused(503, 'unavailable', 'Kafka does not answer: nothing can be decided', { retryAfterMs: 5_000 })
      await control.sync()
      const decide = decidingFor(decider, { producer, serde, scope, now: Date.now })
      const done = await work({ by: decider.by, control: new Map(control.entries()), decide })
      await control.sync()
      return done
    },
    async erase(subject, decider, options) {
      if (erasures >= ERASURES_MAX)
        throw new Refused(503, 'unavailable', `${erasures} erasures are under way`, { retryAfterMs: 5_000 })
      erasures++
      try {
        const world = await openErasing(config, spaceIn(config).id, decider)
        try {
          return await erase(subject, world, options)
        } finally {
          await world.close()
        }
      } finally {
        erasures--
      }
    },
    status: () => logStatus(outside, config.topicPrefix, sourcesOf(config)),
    ended({ route, code, ms, ...request }) {
      seconds.observe({ route, code }, ms / 1_000)
      log.info({ ...request, route, code, ms: Math.round(ms) }, 'administration')
    },
    failed: (error) =>
      log.error({ reason: reasonOf(error), stack: (error as Error).stack }, 'an administration failed'),
  })
  frame.closing(async () => {
    state = 'stopping'
    await server.close()
  })
  await server.listen({ port: ports.admin, host: config.host })
  state = null
  log.info({ port: ports.admin }, 'admin ready')
}

const READY_MS = 10_000
const UNHEARD_MS_MAX = 10_000
/** Each reads the whole log. */
const ERASURES_MAX = 2
