import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { test } from 'node:test'
import { createClient } from './kafka-client.ts'

test('a client that was closed leaves no connection open, not even one that is asked for afterwards', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const { port } = server.address() as AddressInfo
  const dialled: net.Socket[] = []
  const dial = () => {
    dialled.push(net.connect({ port, host: '127.0.0.1' }))
    return dialled.at(-1)!
  }
  const client = createClient({ brokers: [`127.0.0.1:${port}`], clientId: 'test', dial }, 1)
  t.after(() =>
    dialled.forEach((socket) => {
      socket.destroy()
    }),
  )

  client.destroy()
  await assert.rejects(client.kafka.admin().connect())

  assert.equal(dialled.length, 1)
  assert.equal(dialled[0]!.destroyed, true)
})
