import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { WebSocket } from 'ws'

/** One connection, as far as its end is concerned. */
export interface Leaving {
  readonly socket: WebSocket
  /** It has operations under way. */
  busy(): boolean
}

/**
 * Tells every client that the service is going away, and resolves when all connections are closed. A client has a moment to leave
 * by itself, and what it has under way is answered first, within bounds: so one that listens sees no error.
 */
export async function leave(connections: readonly Leaving[]): Promise<void> {
  await Promise.all(connections.map(leaveOne))
}

async function leaveOne({ socket, busy }: Leaving): Promise<void> {
  if (socket.readyState !== socket.OPEN) return
  const closed = once(socket, 'close')
  const reconnectAfterMs = RECONNECT_MS_MIN + Math.round(Math.random() * RECONNECT_MS_SPREAD)
  socket.send(JSON.stringify({ type: 'notice', code: 'going_away', reconnectAfterMs }))
  const left = closed.then(() => true)
  const began = performance.now()
  while (!(await Promise.race([left, delay(LOOK_EVERY_MS, false)]))) {
    const ms = performance.now() - began
    if (ms >= DRAIN_MS_MAX || (ms >= LEAVE_MS && !busy())) break
  }
  socket.close(1012, 'restarting')
  if (!(await Promise.race([left, delay(CLOSE_MS_MAX, false)]))) socket.terminate()
}

const RECONNECT_MS_MIN = 500
const RECONNECT_MS_SPREAD = 1_500
/** For a client that listens to leave by itself. */
const LEAVE_MS = 1_000
/** For what is under way. */
const DRAIN_MS_MAX = 8_000
/** For a client to answer that it is closed. */
const CLOSE_MS_MAX = 1_000
const LOOK_EVERY_MS = 20
