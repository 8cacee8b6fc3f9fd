import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { WebSocket } from 'ws'
import { localAttributes } from '../../cli/local-attributes.ts'
import type { Candidate, Content, SearchIndex } from '../../connectors/qdrant/search.ts'
import { hashEngine } from '../../engine/hash-engine.ts'
import { documents } from '../../schemas/topics.ts'
import { declarationIn } from '../../search/attributes.ts'
import { type Principal, wholeTenant } from '../../services/principal.ts'
import { acceptSockets } from '../../services/query/accept-sockets.ts'
import type { Connection, ConnectionPorts } from '../../services/query/connection.ts'
import { answerHttp, type HttpPorts } from '../../services/query/http.ts'
import { leave } from '../../services/query/leaving.ts'
import { unlimited } from '../../services/query/operations.ts'
import { OperationError } from '../../services/query/protocol.ts'
import { StandingQueries } from '../../services/query/standing/standing-queries.ts'
import { systemClock, virtualClock } from '../../streams/clock.ts'
import { localRegistry } from '../../streams/registry.ts'
import { avroSerde } from '../../streams/serde.ts'
import { declaredAttributes } from '../declared.ts'

/** The query service on real sockets, with all that stands behind it played: an index that holds what it is given, a Kafka that takes everything. */
export type PlayedService = Awaited<ReturnType<typeof playedService>>

export interface PlayedOptions {
  readonly standingMax?: number
  /** What each search finds, from the start. */
  readonly texts?: readonly string[]
  /** Default: everybody is the configured tenant. */
  readonly of?: (headers: IncomingHttpHeaders) => Principal | null
  readonly identify?: ConnectionPorts['identify']
}

export async function playedService({
  standingMax = 1_000,
  texts = ['a'],
  of = () => wholeTenant('default', 'played'),
  identify = null,
}: PlayedOptions = {}) {
  const clock = virtualClock()
  const scope = { prefix: '', space: 'es' }
  const serde = avroSerde(localRegistry(), scope)
  await serde.register([documents])
  const engine = hashEngine()
  const asOf = { token: 'e30', staleMs: 0, complete: true, ingestStaleMs: 0 }
  let found = texts.map(candidate)
  let isHeld = false
  const index = {
    candidates: async (queries: readonly object[]) => queries.map(() => ({ dense: found, keyword: [] })),
    contents: async (_: unknown, ids: readonly string[]) =>
      new Map(found.filter(({ id }) => ids.includes(id)).map((each) => [each.id, each])),
    manifests: async (_: unknown, keys: readonly string[]) => new Map(keys.map((key) => [key, manifestOf(key)])),
    centre: async () => engine.embed(['centre'], { as: 'document' }).then(([vector]) => vector!),
  } as unknown as SearchIndex
  const serving = { space: engine.space.id, collection: 'es', index, engine }
  const ended: { readonly type: string; readonly code: string }[] = []
  const faults: unknown[] = []
  const cutOff: string[] = []
  const freshness = {
    asOf: () => asOf,
    /** What is waited for never comes. */
    async reached(_: string, ms: number, signal: AbortSignal) {
      if (!isHeld) return
      await clock.wait(ms, signal)
      throw new OperationError('timeout', 'not in time')
    },
    async after(token: string, ms: number, _by: Principal, signal: AbortSignal) {
      await freshness.reached(token, ms, signal)
      return []
    },
    within: async () => {},
    wrote: () => ({ epoch: 1, documents: {} }),
  }
  const attributes = new Map([
    ['a', 'integer'] as const,
    ...declaredAttributes,
    ...declarationIn(localAttributes).declared,
  ])
  const behind = { serving: { of: () => serving, sync: async () => {} }, freshness, clock, attributes }
  const standing = new StandingQueries({
    ...behind,
    serving: { now: () => serving, sync: async () => {} },
    engine,
    standingMax,
    renewMs: Number.POSITIVE_INFINITY,
    evaluated() {},
  } as unknown as ConstructorParameters<typeof StandingQueries>[0])
  const ports = {
    ...behind,
    producer: { send: async () => [] },
    platform: { serde, scope, epochs: { refusal: null } },
    partitions: 4,
    log: { error: (fault: unknown) => faults.push(fault), warn() {}, debug() {} },
    ended: (type: string, code: string) => ended.push({ type, code }),
    slow: (bound: string) => cutOff.push(bound),
    identify,
    take: () => 0,
    quotas: unlimited,
    standing,
    callers: { of },
    missing: () => null,
  } as unknown as ConnectionPorts & HttpPorts
  const connections = new Map<WebSocket, Connection>()
  const refused: string[] = []
  const server = createServer(answerHttp(ports))
  server.on(
    'upgrade',
    acceptSockets(ports.callers, ports, connections, (status) => refused.push(status)),
  )
  server.listen(0, '127.0.0.1', BACKLOG)
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `ws://127.0.0.1:${port}/v1/ws`,
    clock,
    standing,
    connections,
    /** What ended, and how. */
    ended,
    /** What was logged as an error: the service's own faults. */
    faults,
    cutOff,
    refused,
    /** Whatever is waited for does not come from now on. */
    hold() {
      isHeld = true
    },
    /** The index has other documents, and all standing queries hear of it. */
    put(others: readonly string[]) {
      found = others.map(candidate)
      standing.unknown()
    },
    leave: () => leave([...connections].map(([socket, { busy }]) => ({ socket, busy }))),
    async [Symbol.asyncDispose]() {
      standing.close()
      for (const socket of connections.keys()) socket.terminate()
      server.closeAllConnections()
      server.close()
      await systemClock.wait(0)
    },
  }
}

/** As many as come at once. */
const BACKLOG = 4_096
const fence = { epoch: 1, offset: 0, derivation: 0 }
const manifestOf = (key: string) => ({ key, fence, content: fence, deleted: false, chunks: 1 })

function candidate(text: string, i: number): Candidate & Content {
  const place = { ordinal: 0, start: 0, end: text.length }
  return {
    ...place,
    id: `p${i} ${text}`,
    score: 1 - i / 1_000,
    key: `default/d${i}`,
    fence: '1:0:0',
    text,
    title: null,
    url: null,
    attributes: {},
  }
}
