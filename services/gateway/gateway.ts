import { Counter, Gauge, Histogram } from 'prom-client'
import type { PageFile } from '../../console/bundle.ts'
import { Fatal, reasonOf } from '../../streams/errors.ts'
import { keySubject } from '../api-keys.ts'
import { authentication } from '../authentication.ts'
import { type GatewayConfig, jwtSettings, rolePorts } from '../config.ts'
import { followControl } from '../control-follower.ts'
import { openOutside } from '../outside.ts'
import { persistently } from '../platform.ts'
import { openFrame } from '../process.ts'
import type { Access } from './access.ts'
import { Admission } from './admission.ts'
import { certificate } from './certificate.ts'
import { Forwarder } from './forward.ts'
import { openPools, type Pools } from './pools.ts'
import type { UpstreamRole } from './routes.ts'
import { gatewayServer } from './server.ts'

/** The one public door. It knows keys from `control`, and asks no database about a request. */
export async function runGateway(config: GatewayConfig): Promise<void> {
  const ports = rolePorts(config)
  const frame = await openFrame({
    role: 'gateway',
    host: config.host,
    adminPort: ports.gatewayAdmin,
    logLevel: config.logLevel,
  })
  const { log, metrics } = frame
  let state: string | null = 'starting'
  frame.ready(() => state)
  const secrets = config.internalSecret
  if (secrets === undefined)
    throw new Fatal(
      'internalSecret is not set: give gateway and services the same FRESHET_INTERNAL_SECRET, 32 characters or more',
    )
  const tls = certificateOf(config)
  if (tls !== null) frame.closing(async () => tls.close())

  const outside = openOutside(config, {
    clientId: 'freshet-gateway',
    log: (level, message, fields) => log[level]({ ...fields }, message),
  })
  frame.closing(() => outside.close())
  const scope = { prefix: config.topicPrefix, space: '' }
  await persistently('Kafka', frame, () => outside.broker.admin.ready(READY_MS))
  // Who came first makes the topics; until then nobody has a key.
  const control = await persistently('the topic control', frame, () =>
    followControl((options) => outside.control(scope, options), {
      subject: 'gateway',
      states: frame.states,
      unheardMsMax: config.keysUnheardMsMax,
      failed: frame.fail,
    }),
  )
  frame.closing(() => control.close())

  const seconds = new Histogram({
    name: 'freshet_gateway_request_seconds',
    help: 'From the first byte of a request to the last of its answer. WebSockets are not in it.',
    labelNames: ['route', 'method', 'status'],
    registers: [metrics],
    buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5, 30],
  })
  const refused = new Counter({
    name: 'freshet_gateway_refused_total',
    help: 'Requests that went no further, by the reason.',
    labelNames: ['code'],
    registers: [metrics],
  })
  const retries = new Counter({
    name: 'freshet_gateway_retries_total',
    help: 'Requests that were asked once more, of another instance where there is one.',
    labelNames: ['role'],
    registers: [metrics],
  })
  const socketSeconds = new Histogram({
    name: 'freshet_gateway_websocket_seconds',
    help: 'How long a WebSocket was open, when it has closed.',
    registers: [metrics],
    buckets: [0.1, 1, 10, 60, 600, 3_600, 21_600, 86_400],
  })
  const handshakes = new Counter({
    name: 'freshet_gateway_handshakes_total',
    help: 'WebSockets that were opened (101) or refused.',
    labelNames: ['status'],
    registers: [metrics],
  })
  const pools = new Map<UpstreamRole, Pools>()
  const instances = () =>
    [...pools].flatMap(([role, { upstreams }]) => upstreams.instances.map((each) => ({ role, ...each })))
  for (const [role, origins] of Object.entries(upstreamsOf(config)) as [UpstreamRole, readonly string[]][]) {
    if (origins.length === 0) continue
    const opened = openPools(role, origins, {
      answerMs: config.answerTimeoutMs,
      checked: (origin, healthy) =>
        log[healthy ? 'info' : 'warn'](
          { origin, healthy },
          healthy ? `${role} answers again` : `${role} does not answer its health check`,
        ),
    })
    pools.set(role, opened)
    frame.closing(() => opened.close())
  }
  new Gauge({
    name: 'freshet_gateway_in_flight',
    help: 'Requests and WebSockets under way, by instance.',
    labelNames: ['role', 'origin'],
    registers: [metrics],
    collect() {
      for (const { role, origin, inFlight } of instances()) this.set({ role, origin }, inFlight)
    },
  })
  new Gauge({
    name: 'freshet_gateway_instance_up',
    help: '1 while the instance answers its health check and its breaker is closed.',
    labelNames: ['role', 'origin'],
    registers: [metrics],
    collect() {
      for (const { role, origin, healthy, openUntil } of instances())
        this.set({ role, origin }, healthy && openUntil <= Date.now() ? 1 : 0)
    },
  })

  frame.ready(() => {
    // Whoever searches needs no administration, and asks for no vectors.
    const serving = [...pools].filter(([role]) => role !== 'admin' && role !== 'inference')
    const silent = serving.find(([, { upstreams }]) => upstreams.instances.every(({ healthy }) => !healthy))
    return silent === undefined ? null : `no instance of ${silent[0]} answers its health check`
  })

  const now = Date.now
  const accessLog = frame.accessLog()
  const logged = ({ ms, ...access }: Access, what: string): void => {
    if (access.code !== 'ok') refused.inc({ code: access.code })
    accessLog.info({ access: { ...access, ms: Math.round(ms * 10) / 10 } }, what)
  }
  const gateway = gatewayServer({
    admission: new Admission({
      authentication: authentication({
        key: (id) => control.get(keySubject(id))?.apiKey ?? undefined,
        keysUnheard: () => control.unheardMs() > config.keysUnheardMsMax,
        jwt: jwtSettings(config),
        now,
      }),
      origins: config.origins,
      tls: tls !== null,
      operatorTenant: config.operatorTenant,
      requestsPerSecond: config.requestsPerSecond,
      instances: config.limitInstances,
      now,
    }),
    forwarder: new Forwarder({
      secret: secrets[0]!,
      now,
      random: Math.random,
      retried: (role) => retries.inc({ role }),
    }),
    pools,
    certificate: tls,
    console:
      config.console === 'on'
        ? await consoleOr((reason) => log.error({ reason }, 'the console is not served: it cannot be bundled'))
        : null,
    secret: secrets[0]!,
    now,
    bounds: config,
    ended(access) {
      const { route, method, status, ms } = access
      seconds.observe({ route, method, status: String(status) }, ms / 1_000)
      logged(access, 'request')
    },
    upgraded(access) {
      handshakes.inc({ status: String(access.status) })
      logged(access, 'WebSocket')
    },
    closed(admitted, ms) {
      socketSeconds.observe(ms / 1_000)
      accessLog.info({ access: { ...admitted, ms: Math.round(ms) } }, 'WebSocket closed')
    },
  })
  tls?.follow(
    (context) => {
      gateway.renew(context)
      log.info('the certificate was renewed')
    },
    (reason) => log.error({ reason }, 'the new certificate is not good; the former stays'),
  )
  new Gauge({
    name: 'freshet_connections',
    help: 'Open connections, and WebSockets among them.',
    labelNames: ['kind'],
    registers: [metrics],
    collect() {
      this.set({ kind: 'connection' }, gateway.connections())
      this.set({ kind: 'websocket' }, gateway.sockets.size)
    },
  })
  frame.closing(async () => {
    state = 'stopping'
    await gateway.drain(DRAIN_MS)
  })
  await gateway.app.listen({ port: ports.gateway, host: config.gatewayHost }).catch((cause) => {
    throw new Fatal(`the gateway cannot listen at ${config.gatewayHost}:${ports.gateway}: ${reasonOf(cause)}`, {
      cause,
    })
  })
  state = null
  log.info({ port: ports.gateway, tls: tls !== null, roles: [...pools.keys()] }, 'gateway ready')
}

/** Without the page the door opens all the same: the bundler is a program of this platform, which may be missing. */
async function consoleOr(failed: (reason: string) => void): Promise<readonly PageFile[] | null> {
  try {
    const { bundleConsole } = await import('../../console/bundle.ts')
    return await bundleConsole()
  } catch (error) {
    failed(reasonOf(error))
    return null
  }
}

function certificateOf({ tlsCert, tlsKey }: GatewayConfig) {
  if (tlsCert === undefined && tlsKey === undefined) return null
  if (tlsCert === undefined || tlsKey === undefined) throw new Fatal('tlsCert and tlsKey: give both, or none')
  return certificate(tlsCert, tlsKey)
}

function upstreamsOf(config: GatewayConfig): Record<UpstreamRole, readonly string[]> {
  return {
    query: config.queryUpstreams ?? [`http://127.0.0.1:${rolePorts(config).query}`],
    admin: config.adminUpstreams ?? [`http://127.0.0.1:${rolePorts(config).admin}`],
    inference: config.inferenceUpstreams,
    orchestrator: config.orchestratorUpstreams,
  }
}

const READY_MS = 10_000
/** Below what the frame waits for all that is to be closed. */
const DRAIN_MS = 10_000
