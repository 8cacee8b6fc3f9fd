import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A way to a server of the stack that can be cut without touching the server, which others use. */
export interface TcpProxy extends AsyncDisposable {
  readonly port: number
  /** Breaks all connections, and refuses new ones. */
  cut(): Promise<void>
  heal(): Promise<void>
}

export async function tcpProxy(target: number): Promise<TcpProxy> {
  const sockets = new Set<Socket>()
  const listen = async (port: number): Promise<Server> => {
    const server = createServer((near) => {
      const far = connect(target, '127.0.0.1')
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        sockets.add(socket)
        socket.pipe(other)
        socket.on('error', () => other.destroy())
        socket.on('close', () => sockets.delete(socket))
      }
    }).listen(port, '127.0.0.1')
    await once(server, 'listening')
    return server
  }
  let server: Server | null = await listen(0)
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  const cut = async (): Promise<void> => {
    const closing = server
    server = null
    if (closing === null) return
    closing.close()
    for (const socket of sockets) socket.destroy()
    await once(closing, 'close')
  }
  return {
    port: address.port,
    cut,
    async heal() {
      server ??= await listen(address.port)
    },
    [Symbol.asyncDispose]: cut,
  }
}
