import { once } from 'node:events'
import {
  type ClientHttp2Session,
  connect,
  createServer,
  type Http2Session,
  type IncomingHttpHeaders,
  type ServerHttp2Stream,
} from 'node:http2'
import { createServer as createTcpServer, type Socket } from 'node:net'

/** The way of one role to Qdrant: it knows gRPC's calls, and may answer them otherwise than Qdrant does, or not at all. */
export interface QdrantLine extends AsyncDisposable {
  /** For FRESHET_QDRANT_URL. */
  readonly url: string
  /** Decides about each call. Default: it passes. */
  treat(by: QdrantTreatment): void
  heal(): void
}

export interface QdrantCall {
  /** `UpdateBatch`, `Get`, … */
  readonly method: string
  /** The message, in protobuf. */
  readonly message: Buffer
}

export interface Reply {
  readonly status: string
  /** gRPC's message, in protobuf; null where there is only a status. */
  readonly message: Buffer | null
  readonly trailers: Readonly<Record<string, string>>
}

/** `pass` asks Qdrant. With `hang up` the connection breaks instead of an answer. */
export type QdrantTreatment = (call: QdrantCall, pass: () => Promise<Reply>) => Promise<Reply | 'hang up'>

export async function openQdrantLine(qdrantUrl: string): Promise<QdrantLine> {
  let treatment: QdrantTreatment = (_call, pass) => pass()
  let far: ClientHttp2Session | null = null
  const near = new Map<Http2Session | undefined, Socket>()

  const session = (): ClientHttp2Session => {
    if (far !== null && !far.closed && !far.destroyed) return far
    const opened = connect(qdrantUrl)
    opened.on('error', () => opened.destroy())
    far = opened
    return opened
  }

  const ask = async (headers: IncomingHttpHeaders, body: Buffer): Promise<Reply> => {
    const own = Object.entries(headers).filter(([name]) => !(name.startsWith(':') || name === 'host'))
    const stream = session().request({ ':method': 'POST', ':path': headers[':path'], ...Object.fromEntries(own) })
    let trailers: IncomingHttpHeaders = {}
    stream.on('response', (answered) => {
      trailers = { ...trailers, ...answered }
    })
    stream.on('trailers', (answered) => {
      trailers = { ...trailers, ...answered }
    })
    stream.end(body)
    const answer = await bodyOf(stream)
    const status = trailers['grpc-status']
    if (typeof status !== 'string') throw new Error('Qdrant hung up')
    const said = trailers['grpc-message']
    return {
      status,
      message: answer.length === 0 ? null : unframed(answer),
      trailers: typeof said === 'string' ? { 'grpc-message': said } : {},
    }
  }

  const serve = async (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): Promise<void> => {
    const body = await bodyOf(stream)
    const method = String(headers[':path']).split('/').at(-1)!
    const reply = await treatment({ method, message: unframed(body) }, () => ask(headers, body))
    if (reply === 'hang up') return hangUp(stream)
    if (stream.destroyed) return
    const head = { ':status': 200, 'content-type': 'application/grpc' }
    const trailers = { 'grpc-status': reply.status, ...reply.trailers }
    if (reply.message === null) return stream.respond({ ...head, ...trailers }, { endStream: true })
    stream.respond(head, { waitForTrailers: true })
    stream.on('wantTrailers', () => stream.sendTrailers(trailers))
    stream.end(framed(reply.message))
  }

  /** As a connection breaks: by a reset, and all calls on it with it. */
  const hangUp = ({ session: broken }: ServerHttp2Stream): void => void near.get(broken)?.resetAndDestroy()

  const calls = createServer()
  calls.on('stream', (stream, headers) => {
    stream.on('error', () => {})
    // Where Qdrant is not to be reached, neither is it by this line.
    serve(stream, headers).catch(() => hangUp(stream))
  })
  const server = createTcpServer({ noDelay: true }, (socket) => {
    calls.once('session', (opened) => {
      near.set(opened, socket)
      opened.on('error', () => {})
      opened.on('close', () => near.delete(opened))
    })
    socket.on('error', () => {})
    calls.emit('connection', socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the line has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    treat(by) {
      treatment = by
    },
    heal() {
      treatment = (_call, pass) => pass()
    },
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of near.values()) socket.destroy()
      far?.destroy()
    },
  }
}

async function bodyOf(stream: AsyncIterable<Buffer>): Promise<Buffer> {
  const parts: Buffer[] = []
  for await (const part of stream) parts.push(part)
  return Buffer.concat(parts)
}

/** gRPC puts a flag (not compressed) and the size in front of a message. */
const FRAME_BYTES = 5
const unframed = (bytes: Buffer): Buffer => bytes.subarray(FRAME_BYTES)

function framed(message: Buffer): Buffer {
  const head = Buffer.alloc(FRAME_BYTES)
  head.writeUInt32BE(message.length, 1)
  return Buffer.concat([head, message])
}
