import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { WebSocket } from 'ws'
import { playedService } from '../../test/hardening/played-service.ts'
import { wholeTenant } from '../principal.ts'
import { SUBPROTOCOL } from './protocol.ts'

test('a credential that is over when its connection has just been made closes that connection, and nothing else', async () => {
  let expiresAt: number | null = 0
  await using service = await playedService({ of: () => ({ ...wholeTenant('default', 'played'), expiresAt }) })
  service.clock.advance(1_000)

  const late = new WebSocket(service.url, [SUBPROTOCOL])
  const [code] = (await once(late, 'close')) as [number]

  expiresAt = null
  const next = new WebSocket(service.url, [SUBPROTOCOL])
  const [message] = (await once(next, 'message')) as [Buffer]
  next.terminate()
  assert.equal(code, 4401)
  assert.match(message.toString(), /"type":"ready"/)
})
