import { createRequire } from 'node:module'
import net from 'node:net'
import kafkajs, { type ISocketFactory, type Kafka, type Producer } from 'kafkajs'
import { registerCodecs } from './kafka-codecs.ts'
import { stopIdleTimers } from './kafka-idle-timers.ts'
import { type KafkaSecurity, noticeTls, overTls, saslMechanism } from './kafka-security.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type Log = (level: LogLevel, message: string, fields: Readonly<Record<string, unknown>>) => void

export interface KafkaOptions {
  /** `host:port` of some brokers; the others are found through them. */
  readonly brokers: readonly string[]
  readonly clientId: string
  readonly log?: Log
  /** Default: neither encrypted nor as anybody. */
  readonly security?: KafkaSecurity
  /** How a connection is made, once for each; a test may put a bad line in between. */
  readonly dial?: (address: { host: string; port: number }) => net.Socket
}

/** A kafkajs client of its own with its sockets, so that whatever state it got into it can be thrown away whole. */
export interface Client {
  readonly kafka: Kafka
  /** kafkajs's view of the brokers, below its consumer: connections, metadata, coordinators, requests. */
  cluster(): Cluster
  /** Ends every connection now; what waits for an answer gets an error. */
  destroy(): void
  /**
   * kafkajs keeps a connection on which a request was not answered, and asks there again at each retry: one that a router on the
   * way has forgotten stays silent for minutes. From here on it is replaced, and the retry goes over a new one.
   */
  replaceSilent(producer: Producer): void
}

/** `connectAttempts`: how often kafkajs tries to reach a broker, up to 1 s apart, before it gives a request up. */
export function createClient(
  { brokers, clientId, log = () => {}, security = UNPROTECTED, dial = dialDirectly }: KafkaOptions,
  connectAttempts = 4,
): Client {
  registerCodecs()
  stopIdleTimers()
  const sockets = new Set<net.Socket>()
  let destroyed = false
  const socketFactory: ISocketFactory = ({ host, port, onConnect }) => {
    const plain = dial({ host, port })
    const socket = security.tls === null ? plain : overTls(plain, host, security)
    if (security.tls === null) noticeTls(socket, security.how)
    // A broker that takes no connections (stopped, its backlog full) answers nothing at all, and kafkajs gives up without ending the attempt.
    const late = setTimeout(() => socket.destroy(new Error('the broker took no connection')), CONNECT_TIMEOUT_MS)
    socket.once(security.tls === null ? 'connect' : 'secureConnect', () => {
      clearTimeout(late)
      onConnect()
    })
    socket.once('close', () => {
      clearTimeout(late)
      sockets.delete(socket)
      // kafkajs listens to `end` and `error` only: a socket closed otherwise would leave its requests waiting.
      if (!socket.readableEnded && socket.errored === null) socket.emit('error', new Error('the connection was closed'))
    })
    sockets.add(socket)
    // A request that was under way when the client was closed may still ask for another connection, which nobody would end.
    if (destroyed) socket.destroy(new Error('the client was closed'))
    return socket
  }
  const kafka = new kafkajs.Kafka({
    brokers: [...brokers],
    clientId,
    ...(security.sasl !== null && { sasl: saslMechanism(security.sasl, security.how, builtInProvider) }),
    socketFactory,
    connectionTimeout: 2 * CONNECT_TIMEOUT_MS,
    requestTimeout: REQUEST_TIMEOUT_MS,
    retry: { initialRetryTime: 50, factor: 0.2, multiplier: 2, maxRetryTime: 1_000, retries: connectAttempts - 1 },
    logLevel: kafkajs.logLevel.WARN,
    // What kafkajs calls an error is mostly a retry; what matters is logged by whoever gives up.
    logCreator: () => (entry) => log('debug', entry.log.message, { ...entry.log, from: entry.namespace }),
  })
  return {
    kafka,
    cluster() {
      const create = Object.getOwnPropertySymbols(kafka).find(
        ({ description }) => description === 'private:Kafka:createCluster',
      )
      if (create === undefined) throw new Error('this is not the kafkajs that this was written for')
      const createCluster = (kafka as unknown as Record<symbol, (options: object) => Cluster>)[create]!
      return createCluster({ metadataMaxAge: METADATA_AGE_MS_MAX, allowAutoTopicCreation: false, isolationLevel: 1 })
    },
    destroy() {
      destroyed = true
      for (const socket of sockets) socket.destroy(new Error('the client was closed'))
    },
    replaceSilent(producer) {
      producer.on(producer.events.REQUEST_TIMEOUT, () => {
        for (const socket of sockets) socket.destroy(new Error('a request on this connection was not answered'))
      })
    },
  }
}

function dialDirectly(address: { host: string; port: number }): net.Socket {
  return net.connect({ ...address, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS })
}

/** A file of kafkajs that is no part of its public interface; the version is pinned. */
export const internal = <T>(path: string): T => createRequire(import.meta.url)(`kafkajs/src/${path}`) as T

/** kafkajs's own, of `PLAIN` and the like. */
const builtInProvider = (mechanism: string) =>
  internal<ReturnType<Parameters<typeof saslMechanism>[2]>>(
    `broker/saslAuthenticator/${mechanism.toLowerCase().replace('-sha-', '')}.js`,
  )

const UNPROTECTED: KafkaSecurity = { tls: null, sasl: null, how: 'we came without TLS and as nobody' }

export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  /** Rejects if one of them does not exist. */
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  findTopicPartitionMetadata(topic: string): readonly { readonly partitionId: number; readonly leader: number }[]
  findBroker(of: { nodeId: number | string }): Promise<Node>
  findControllerBroker(): Promise<Node>
  /** `coordinatorType`: 0 for groups, 1 for transactions. */
  findGroupCoordinator(of: { groupId: string; coordinatorType?: 0 | 1 }): Promise<Node>
}

export interface ProtocolRequest<T> {
  readonly request: { apiKey: number; apiVersion: number; apiName: string; encode(): Promise<unknown> }
  readonly response: { decode(bytes: Buffer): Promise<T>; parse(decoded: T): Promise<T> }
  readonly requestTimeout?: number
}

interface TopicPartitions<P> {
  readonly topic: string
  readonly partitions: readonly P[]
}

/** One broker of the cluster, as far as we speak to it directly. */
export interface Node {
  readonly nodeId: number
  readonly connectionPool: {
    /** 0 for everything, 1 for long fetches: a broker answers the requests of one connection one after the other. */
    getConnection(index: 0 | 1): Promise<{ send<T>(request: ProtocolRequest<T>): Promise<T> }>
  }
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<JoinedGroup>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly TopicPartitions<{ partition: number; offset: string; metadata?: string }>[]
  }): Promise<unknown>
  offsetFetch(request: {
    groupId: string
    topics: readonly TopicPartitions<{ partition: number }>[]
  }): Promise<{ responses: readonly TopicPartitions<{ partition: number; offset: string; metadata: string | null }>[] }>
  describeGroups(request: {
    groupIds: readonly string[]
  }): Promise<{ groups: readonly { members: readonly { memberId: string }[] }[] }>
  /** `timestamp`: -1 for the end, -2 for the start. */
  listOffsets(request: {
    isolationLevel: 0 | 1
    topics: readonly TopicPartitions<{ partition: number; timestamp: number }>[]
  }): Promise<{ responses: readonly TopicPartitions<{ partition: number; offset: string }>[] }>
  initProducerId(request: { transactionalId: string; transactionTimeout: number }): Promise<unknown>
}

export interface JoinedGroup {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: readonly { memberId: string; memberMetadata: Buffer }[]
}

const CONNECT_TIMEOUT_MS = 3_000
/** A broker that is silent for this long is taken for dead: well under the 60 s in which progress must resume. */
export const REQUEST_TIMEOUT_MS = 10_000
const METADATA_AGE_MS_MAX = 60_000
const KEEP_ALIVE_MS = 10_000
