import type { WebSocket } from 'ws'
import type { Clock } from '../../streams/clock.ts'
import { LIMITS } from './protocol.ts'

/** Whether a client is still there, and does not ask too often: pings of both sides, and the bound of frames of any kind. */
export function watchPulse(socket: WebSocket, clock: Clock) {
  let secondAt = 0
  let inSecond = 0
  let missedPings = 0
  const over = new AbortController()

  /** Frames of any kind: each costs something. */
  const tooMany = (): boolean => {
    const now = clock.now()
    if (now - secondAt >= 1_000) {
      secondAt = now
      inSecond = 0
    }
    if (++inSecond <= LIMITS.messagesPerSecondMax) return false
    socket.close(1008, 'too many messages')
    return true
  }

  const heartbeat = async (): Promise<void> => {
    for (;;) {
      await clock.wait(HEARTBEAT_MS, over.signal)
      if (over.signal.aborted) return
      if (++missedPings > MISSED_PINGS_MAX) return socket.terminate()
      socket.ping()
    }
  }
  void heartbeat()
  socket.on('pong', () => {
    if (!tooMany()) missedPings = 0
  })
  // Whoever asks whether we are there, and does not read, is not answered for ever.
  socket.on('ping', (data: Buffer) => {
    if (socket.readyState === socket.OPEN && !tooMany() && socket.bufferedAmount <= PONG_UNREAD_BYTES_MAX)
      socket.pong(data)
  })
  return { tooMany, end: () => over.abort() }
}

export const HEARTBEAT_MS = 25_000
const MISSED_PINGS_MAX = 2
const PONG_UNREAD_BYTES_MAX = 64 * 1024
