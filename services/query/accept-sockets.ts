import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Principal } from '../principal.ts'
import type { Callers, NotLetIn } from './callers.ts'
import { type Connection, type ConnectionPorts, serve } from './connection.ts'
import { LIMITS, SUBPROTOCOL } from './protocol.ts'

/**
 * What an HTTP server does with an upgrade: one that may be made is served, and is in `connections` as long as it is open; any other is
 * refused before a connection exists, and `refused` is told the status.
 */
export function acceptSockets(
  callers: Pick<Callers, 'of'>,
  ports: ConnectionPorts,
  connections: Map<WebSocket, Connection>,
  refused: (status: string) => void,
): (request: IncomingMessage, socket: Duplex, head: Buffer) => void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: LIMITS.messageBytesMax,
    maxFragments: FRAGMENTS_MAX,
    maxBufferedChunks: BUFFERED_CHUNKS_MAX,
    perMessageDeflate: false,
    // `serve` answers pings, within bounds.
    autoPong: false,
    // `connections` knows them.
    clientTracking: false,
    handleProtocols: () => SUBPROTOCOL,
  } as ConstructorParameters<typeof WebSocketServer>[0])
  return (request, socket, head) => {
    const principal = callers.of(request.headers)
    const refusal = refusalOf(request) ?? notLetIn(principal)
    if (refusal !== null) {
      refused(refusal.split(' ')[0]!)
      return refuseUpgrade(socket, refusal)
    }
    sockets.handleUpgrade(request, socket, head, (client) => {
      connections.set(client, serve(client, principal as Principal | null, ports))
      client.once('close', () => connections.delete(client))
    })
  }
}

/** Of one message: what a client that streams needs, and few enough that they cost nothing. */
const FRAGMENTS_MAX = 64
/** Pieces in which a frame may come that is not whole yet. */
const BUFFERED_CHUNKS_MAX = 4_096

function refusalOf({ headers, url }: IncomingMessage): string | null {
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((each) => each.trim())
  if (url !== '/' && url !== '/v1/ws') return '404 Not Found'
  if (!offered.includes(SUBPROTOCOL)) return '400 Bad Request'
  return null
}

const notLetIn = (principal: Principal | null | NotLetIn): string | null =>
  principal === null || !('status' in principal) ? null : `${principal.status} ${principal.reason}`

function refuseUpgrade(socket: Duplex, status: string): void {
  const reason = status.startsWith('400') ? `offer the subprotocol ${SUBPROTOCOL}` : status
  // It may be gone already, and nobody else listens from here on.
  socket.on('error', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status}\r\nContent-Type: text/plain\r\nContent-Length: ${reason.length + 1}\r\nConnection: close\r\n\r\n${reason}\n`,
  )
}
