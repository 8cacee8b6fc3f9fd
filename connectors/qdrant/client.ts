import { subscribe } from 'node:diagnostics_channel'
import type { ClientHttp2Stream, Http2Session } from 'node:http2'
import { type CallOptions, Code, ConnectError } from '@connectrpc/connect'
import { QdrantClient } from '@qdrant/js-client-grpc'
import { Reject, Retry, StartOver } from '../../streams/errors.ts'
import { Missing } from './missing.ts'

/**
 * connect-node 2.1.2 destroys a session with an error when Qdrant says that it goes away, and where the next request comes in that very
 * moment takes its listener off before the error is told: an error event that nobody hears ends the process.
 */
const heard = new WeakSet<Http2Session>()
subscribe('http2.client.stream.created', (message) => {
  const { session } = (message as { stream: ClientHttp2Stream }).stream
  if (session === undefined || heard.has(session)) return
  heard.add(session)
  // Whoever has a request on it hears of it there.
  session.on('error', () => {})
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
  /** Rejects with `StartOver` when it is not known what was written, and with `Reject` when it refuses the request. */
  write<T>(what: string, call: (options: CallOptions) => Promise<T>): Promise<T>
}

export interface QdrantOptions {
  readonly url: string
  readonly apiKey?: string
  readonly timeoutMs?: number
}

export function connectQdrant({ url, apiKey, timeoutMs = 30_000 }: QdrantOptions): Qdrant {
  // Its own timeout would replace the signal of each call, and its version check only warns.
  const client = new QdrantClient({
    url,
    timeout: Number.POSITIVE_INFINITY,
    compression: false,
    checkCompatibility: false,
    ...(apiKey && { apiKey }),
  })
  return {
    url,
    points: client.api('points'),
    collections: client.api('collections'),
    service: client.api('service'),
    async read(what, call) {
      for (let attempt = 1; ; attempt++) {
        try {
          return await call({ timeoutMs })
        } catch (cause) {
          if (isRefusal(cause)) throw new Reject(`Qdrant refused ${what}`, { cause })
          if (isMissing(cause)) throw new Missing(`${what}: not in Qdrant at ${url}`, { cause })
          if (attempt >= READ_ATTEMPTS_MAX)
            throw new Retry(`Qdrant at ${url} did not answer ${what}`, {
              cause,
              retryAfterMs: 500,
              state: 'index-unreachable',
            })
        }
      }
    },
    async write(what, call) {
      try {
        return await call({ timeoutMs })
      } catch (cause) {
        if (isRefusal(cause)) throw new Reject(`Qdrant refused ${what}`, { cause })
        throw new StartOver(`it is not known whether Qdrant at ${url} did ${what}`, { cause })
      }
    },
  }
}

const READ_ATTEMPTS_MAX = 3

const isRefusal = (error: unknown): boolean => error instanceof ConnectError && error.code === Code.InvalidArgument
const isMissing = (error: unknown): boolean => error instanceof ConnectError && error.code === Code.NotFound
