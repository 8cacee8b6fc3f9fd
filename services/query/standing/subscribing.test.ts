import assert from 'node:assert/strict'
import { test } from 'node:test'
import { virtualClock } from '../../../streams/clock.ts'
import { wholeTenant } from '../../principal.ts'
import { unlimited } from '../operations.ts'
import { clientMessage, type SubscribeMessage } from '../protocol.ts'
import { AnsweredElsewhere, StandingQuery } from './standing-query.ts'
import { type StandingMessage, subscribe } from './subscribing.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))
const asOf = { token: 'e30', staleMs: 0, complete: true, ingestStaleMs: 0 }

test('who is answered by another space from one moment on hears a snapshot of another epoch, and no end', async () => {
  const queries = [new StandingQuery(), new StandingQuery()]
  const left: number[] = []
  let opened = 0
  const standing = {
    async open() {
      const i = opened++
      return { query: queries[i]!, leave: () => void left.push(i) }
    },
  }
  const told: StandingMessage[] = []
  const stop = new AbortController()
  const message = clientMessage.parse({ type: 'subscribe', id: '1', query: 'a', minIntervalMs: 0 }) as SubscribeMessage
  const clock = virtualClock()
  const ports = { standing, clock, quotas: unlimited }
  const following = subscribe(
    message,
    wholeTenant('acme', 'key:1'),
    ports,
    stop.signal,
    async (each) => void told.push(each),
  )
  following.catch(() => {})

  queries[0]!.found([], asOf, true)
  for (let i = 0; i < 5; i++) await turn()
  await clock.advance(1)
  queries[0]!.end(new AnsweredElsewhere())
  for (let i = 0; i < 5; i++) await turn()
  queries[1]!.found([], asOf, true)
  for (let i = 0; i < 5; i++) await turn()

  assert.deepEqual(
    told.map(({ type }) => type),
    ['snapshot', 'snapshot'],
  )
  const epochs = told.map((each) => 'epoch' in each && each.epoch)
  assert.notEqual(epochs[0], epochs[1])
  assert.deepEqual(left, [0])
  stop.abort()
  await assert.rejects(following, /cancelled/)
})
