import { once } from 'node:events'
import WebSocket from 'ws'

/** Someone who searches without a pause, and goes to the successor when told that the service is going away. */
export interface Caller {
  /** Where to go when told to leave. */
  next(url: string): void
  stop(): Promise<Calls>
}

export interface Calls {
  readonly calls: number
  /** How often the caller left because it was told to. */
  readonly moves: number
  readonly errors: readonly string[]
}

export function callAlong(url: string): Caller {
  const stopped = new AbortController()
  const errors: string[] = []
  let successor = url
  let calls = 0
  let moves = 0
  const calling = (async () => {
    while (!stopped.signal.aborted) {
      const line = await dial(successor)
      while (!stopped.signal.aborted && !line.told()) {
        const answer = await line.ask({ type: 'search', query: 'sentence of the load', k: 5 })
        calls++
        if (answer.type !== 'result') errors.push(JSON.stringify(answer).slice(0, 200))
        if (answer.type === 'closed') break
      }
      if (line.told()) moves++
      line.close()
    }
  })()
  calling.catch(() => {})
  return {
    next(to) {
      successor = to
    },
    async stop() {
      stopped.abort()
      await calling
      return { calls, moves, errors }
    },
  }
}

interface Message {
  readonly type: string
  readonly id?: string
  readonly code?: string
}

interface Line {
  /** Whether the service said that it is going away. */
  told(): boolean
  ask(message: object): Promise<Message>
  close(): void
}

async function dial(url: string): Promise<Line> {
  const socket = new WebSocket(url, 'freshet.v1+json')
  let waiting: ((message: Message) => void) | null = null
  let leaving = false
  let count = 0
  socket.on('message', (data) => {
    const message = JSON.parse(String(data)) as Message
    if (message.type === 'notice' && message.code === 'going_away') leaving = true
    if (message.id === String(count)) waiting?.(message)
  })
  socket.on('close', (code) => waiting?.({ type: 'closed', code: String(code) }))
  await once(socket, 'open')
  return {
    told: () => leaving,
    ask(message) {
      if (socket.readyState !== WebSocket.OPEN) return Promise.resolve({ type: 'closed' })
      return new Promise((resolve) => {
        waiting = resolve
        socket.send(JSON.stringify({ ...message, id: String(++count) }))
      })
    },
    close: () => socket.close(),
  }
}
