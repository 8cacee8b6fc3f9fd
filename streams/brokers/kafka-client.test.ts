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

test('an attempt to connect that a broker never answers is ended, not only given up', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const dialled: net.Socket[] = []
  const dial = () => {
    dialled.push(net.connect({ port: 1, host: 'silent', lookup: () => {} }))
    return dialled.at(-1)!
  }
  t.after(() =>
    dialled.forEach((socket) => {
      socket.destroy()
    }),
  )
  const client = createClient({ brokers: ['silent:1'], clientId: 'test', dial }, 1)
  const connected = client.kafka.admin().connect()
  const refused = assert.rejects(connected)
  while (dialled.length === 0) await new Promise((resolve) => setImmediate(resolve))

  t.mock.timers.tick(3_000)
  await refused

  assert.deepEqual(
    dialled.map(({ destroyed }) => destroyed),
    [true],
  )
})
