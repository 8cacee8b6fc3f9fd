import { AsyncLocalStorage } from 'node:async_hooks'
import { subscribe } from 'node:diagnostics_channel'
import { type ClientHttp2Stream, constants, type Http2Session } from 'node:http2'
import { type CallOptions, Code, ConnectError } from '@connectrpc/connect'
import { QdrantClient } from '@qdrant/js-client-grpc'
import { Reject, Retry, StartOver } from '../../streams/errors.ts'
import { Missing } from './missing.ts'
import { trust } from './trust.ts'

/** A request, and the connection that it went over. */
interface UnderWay {
  /** The only one that it may go over. */
  readonly only: number | null
  connection: number | null
}

const underWay = new AsyncLocalStorage<UnderWay>()

/** The client connects anew without a word, and does not say over which connection a request goes: here it is seen. */
const connections = new WeakMap<Http2Session, number>()
let connectionsSeen = 0
subscribe('http2.client.stream.created', (message) => {
  const { stream } = message as { stream: ClientHttp2Stream }
  const { session } = stream
  if (session === undefined) return
  if (!connections.has(session)) {
    connections.set(session, ++connectionsSeen)
    // connect-node 2.1.2 destroys a session with an error when Qdrant says that it goes away, and where the next request comes in that
    // very moment takes its listener off before the error is told: an error event that nobody hears ends the process. Whoever has
    // a request on it hears of it there.
    session.on('error', () => {})
  }
  const call = underWay.getStore()
  if (call === undefined) return
  call.connection = connections.get(session)!
  // Nothing but headers was sent so far: what the request asks for comes after them, and does not come now.
  if (call.only !== null && call.only !== call.connection) stream.close(constants.NGHTTP2_CANCEL)
})

export type Points = ReturnType<typeof QdrantClient.prototype.api<'points'>>
export type Collections = ReturnType<typeof QdrantClient.prototype.api<'collections'>>
type Service = ReturnType<typeof QdrantClient.prototype.api<'service'>>

/** Qdrant over gRPC. Reads are tried again; a write is never repeated blindly. */
export interface Qdrant {
  readonly url: string
  readonly points: Points
  readonly collections: Collections
  readonly service: Service
  /** Rejects with `Retry` when Qdrant is out of reach, after a few attempts of its own, and with `Reject` when it refuses the request. */
  read<T>(what: string, call: (options: CallOptions) => Promise<T>): Promise<T>
  /** As `read`, of one request, with the connection that the answer came over. */
  readOver<T>(what: string, call: (options: CallOptions) => Promise<T>): Promise<{ answer: T; connection: number }>
  /**
   * Rejects with `StartOver` when it is not known what was written, and with `Reject` when it refuses the request. Over `only` this
   * connection, if one is given: where it is gone, nothing is written.
   */
  write<T>(what: string, call: (options: CallOptions) => Promise<T>, only?: number): Promise<T>
}

export interface QdrantOptions {
  readonly url: string
  /** Asked for at each call, so it may change; null: none. */
  readonly apiKey?: () => string | null
  /** The certificates that Qdrant's is signed by, PEM; this process trusts them from then on. */
  readonly ca?: string
  /** What to look at when Qdrant refuses us. */
  readonly how?: string
  readonly timeoutMs?: number
}

export function connectQdrant({ url, apiKey, ca, how = '', timeoutMs = 30_000 }: QdrantOptions): Qdrant {
  if (ca !== undefined) trust(ca)
  // Its own timeout would replace the signal of each call, and its version check only warns.
  const client = new QdrantClient({
    url,
    timeout: Number.POSITIVE_INFINITY,
    compression: false,
    checkCompatibility: false,
    ...(apiKey && { headers: headersOf(apiKey) }),
  })
  const hint = (cause: unknown) => (isForbidden(cause) ? `; it does not let us in: ${how}` : '')
  const readOver: Qdrant['readOver'] = async (what, call) => {
    for (let attempt = 1; ; attempt++) {
      const request: UnderWay = { only: null, connection: null }
      try {
        const answer = await underWay.run(request, () => call({ timeoutMs }))
        return { answer, connection: request.connection! }
      } catch (cause) {
        if (isRefusal(cause)) throw new Reject(`Qdrant refused ${what}`, { cause })
        if (isMissing(cause)) throw new Missing(`${what}: not in Qdrant at ${url}`, { cause })
        if (attempt >= READ_ATTEMPTS_MAX)
          throw new Retry(`Qdrant at ${url} did not answer ${what}${hint(cause)}`, {
            cause,
            retryAfterMs: 500,
            state: 'index-unreachable',
          })
      }
    }
  }
  return {
    url,
    points: client.api('points'),
    collections: client.api('collections'),
    service: client.api('service'),
    readOver,
    read: async (what, call) => (await readOver(what, call)).answer,
    async write(what, call, only) {
      const request: UnderWay = { only: only ?? null, connection: null }
      try {
        return await underWay.run(request, () => call({ timeoutMs }))
      } catch (cause) {
        if (only !== undefined && request.connection !== null && request.connection !== only)
          throw new StartOver(`Qdrant at ${url} was connected anew before ${what}: it may be another copy`)
        if (isRefusal(cause)) throw new Reject(`Qdrant refused ${what}`, { cause })
        throw new StartOver(`it is not known whether Qdrant at ${url} did ${what}${hint(cause)}`, { cause })
      }
    },
  }
}

/** The client reads them at each call. */
function headersOf(apiKey: () => string | null): Record<string, string> {
  const headers = {}
  Object.defineProperty(headers, 'api-key', { enumerable: true, get: () => apiKey() ?? '' })
  return headers
}

const READ_ATTEMPTS_MAX = 3

const isRefusal = (error: unknown): boolean => error instanceof ConnectError && error.code === Code.InvalidArgument
const isMissing = (error: unknown): boolean => error instanceof ConnectError && error.code === Code.NotFound
const isForbidden = (error: unknown): boolean =>
  error instanceof ConnectError && (error.code === Code.Unauthenticated || error.code === Code.PermissionDenied)
