import type { WebSocket } from 'ws'
import type { Clock } from '../../streams/clock.ts'

/** Which bound a client has broken that does not read. */
export type SlowReading = 'bytes' | 'seconds'

export interface Unread {
  /** Sends the text, unless the connection is about to end. Resolves when the client, or the kernel for it, has taken it, or never will. */
  send(text: string): Promise<void>
  /** The connection has ended. */
  end(): void
}

type Receiver = Pick<WebSocket, 'readyState' | 'OPEN' | 'bufferedAmount' | 'send' | 'close'>

/**
 * All that one client is sent, and what of it waits here since the client does not read. Beyond the bounds it is cut off, and
 * `cutOff` is told why. Idle time is counted in looks, not taken from a clock: a process that stood still has not seen who read.
 */
export function unreadBy(socket: Receiver, clock: Clock, cutOff: (bound: SlowReading) => void): Unread {
  const ended = new AbortController()
  let waiting = 0
  let taken = 0
  let watched = false

  const giveUp = (bound: SlowReading): void => {
    ended.abort()
    cutOff(bound)
    socket.close(4510, 'slow reader')
  }
  const watch = async (): Promise<void> => {
    watched = true
    let idle = 0
    let before = taken
    while (waiting > 0) {
      await clock.wait(LOOK_EVERY_MS, ended.signal)
      if (ended.signal.aborted) return
      idle = taken === before ? idle + 1 : 0
      before = taken
      if (idle * LOOK_EVERY_MS >= UNREAD_MS_MAX && waiting > 0) return giveUp('seconds')
    }
    watched = false
  }

  return {
    send(text) {
      if (ended.signal.aborted || socket.readyState !== socket.OPEN) return Promise.resolve()
      waiting++
      const sent = new Promise<void>((resolve) =>
        socket.send(text, () => {
          waiting--
          taken++
          resolve()
        }),
      )
      if (socket.bufferedAmount > UNREAD_BYTES_MAX) giveUp('bytes')
      else if (!watched) void watch()
      return sent
    },
    end: () => ended.abort(),
  }
}

/** What a client may leave unread, beyond what the kernels of both ends hold. */
export const UNREAD_BYTES_MAX = 4 * 1024 * 1024
/** How long it may take none of what waits for it. */
export const UNREAD_MS_MAX = 10_000
const LOOK_EVERY_MS = 1_000
