import WebSocket from 'ws'

/** What a process of Node holds after everything that nobody uses was collected, bytes. */
export interface Held {
  /** Objects, strings and their like. */
  readonly heap: number
  /** Memory of typed arrays and buffers, outside of the heap. */
  readonly buffers: number
  readonly rss: number
}

/** Asks a process that was started with `--inspect=127.0.0.1:port`. */
export async function heldBy(port: number): Promise<Held> {
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as {
    readonly webSocketDebuggerUrl: string
  }[]
  const socket = new WebSocket(targets[0]!.webSocketDebuggerUrl)
  try {
    await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject))
    let count = 0
    const ask = (method: string, params: object = {}): Promise<{ result: { value: string } }> =>
      new Promise((resolve, reject) => {
        const id = ++count
        const take = (data: WebSocket.RawData) => {
          const answer = JSON.parse(String(data))
          if (answer.id !== id) return
          socket.off('message', take)
          if (answer.error) reject(new Error(`${method}: ${answer.error.message}`))
          else resolve(answer.result)
        }
        socket.on('message', take)
        socket.send(JSON.stringify({ id, method, params }))
      })
    await ask('HeapProfiler.enable')
    await ask('HeapProfiler.collectGarbage')
    const { result } = await ask('Runtime.evaluate', { expression: 'JSON.stringify(process.memoryUsage())' })
    const { heapUsed, arrayBuffers, rss } = JSON.parse(result.value)
    return { heap: heapUsed, buffers: arrayBuffers, rss }
  } finally {
    socket.close()
  }
}
