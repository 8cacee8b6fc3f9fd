import { strict as assert } from 'node:assert'
import { type TestContext, test } from 'node:test'
import { internal } from './kafka-client.ts'
import { stopIdleTimers } from './kafka-idle-timers.ts'

interface Queue {
  throttleCheckTimeoutId: NodeJS.Timeout | null
  throttledUntil: number
  pending: unknown[]
  push(request: object): void
  checkPendingRequests(): void
  destroy(): void
}

const RequestQueue = internal<new (options: object) => Queue>('network/requestQueue/index.js')

function queue(t: TestContext): Queue {
  stopIdleTimers()
  const silent = { debug() {}, error() {}, info() {}, warn() {} }
  const made = new RequestQueue({
    maxInFlightRequests: 1,
    requestTimeout: 1_000,
    enforceRequestTimeout: true,
    clientId: 'c',
    broker: 'b',
    logger: silent,
  })
  t.after(() => made.destroy())
  return made
}

const request = (correlationId: number) => ({
  entry: { correlationId, resolve() {}, reject() {} },
  expectResponse: true,
  sendRequest() {},
})

test('a connection on which nothing waits sets no timer', (t) => {
  const idle = queue(t)

  idle.push(request(1))
  idle.checkPendingRequests()

  assert.equal(idle.throttleCheckTimeoutId, null)
})

test('a request that has to wait is looked at again, and not before the throttling is over', (t) => {
  const throttled = queue(t)
  throttled.throttledUntil = Date.now() + 60_000

  throttled.push(request(1))

  const timer = throttled.throttleCheckTimeoutId as unknown as { _idleTimeout: number }
  assert.equal(throttled.pending.length, 1)
  assert.ok(timer._idleTimeout > 59_000)
})
