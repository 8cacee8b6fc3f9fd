import { createRequire } from 'node:module'

interface RequestQueue {
  pending: unknown[]
  inflight: Map<number, { sentAt: number; requestTimeout: number; timeoutRequest(): void }>
  throttledUntil: number
  throttleCheckTimeoutId: NodeJS.Timeout | null
  requestTimeoutIntervalId?: NodeJS.Timeout
  enforceRequestTimeout: boolean
  checkPendingRequests(): void
  isConnected(): boolean
  destroy(): void
  scheduleCheckPendingRequests(): void
  scheduleRequestTimeoutCheck(): void
}

/**
 * Guard K17: kafkajs 2.2.4 asks for its next look at a connection's queue by a negative time, which is a timer of 1 ms that renews
 * itself for ever (4.5 % of a core idle, and a TimeoutNegativeWarning on Node 24). With nothing waiting there is nothing
 * to look at. The check for timed out requests, ten times a second and connection, becomes one a second.
 */
export function stopIdleTimers(): void {
  const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue/index.js') as {
    prototype: RequestQueue
  }

  prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length === 0 || this.throttleCheckTimeoutId) return
    const throttledForMs = this.throttledUntil - Date.now()
    this.throttleCheckTimeoutId = setTimeout(
      () => {
        this.throttleCheckTimeoutId = null
        this.checkPendingRequests()
      },
      throttledForMs > 0 ? throttledForMs : PENDING_CHECK_MS,
    )
  }

  prototype.scheduleRequestTimeoutCheck = function () {
    if (!this.enforceRequestTimeout) return
    this.destroy()
    this.requestTimeoutIntervalId = setInterval(() => {
      for (const request of [...this.inflight.values()]) {
        if (Date.now() - request.sentAt > request.requestTimeout) request.timeoutRequest()
      }
      if (!this.isConnected()) this.destroy()
    }, TIMEOUT_CHECK_MS)
  }
}

/** As kafkajs has it for a queue that is full. */
const PENDING_CHECK_MS = 10
const TIMEOUT_CHECK_MS = 1_000
