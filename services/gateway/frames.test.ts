import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import { WebSocket, WebSocketServer } from 'ws'
import { closeFrame, FrameEdge } from './frames.ts'

/** A frame of that many bytes, as RFC 6455 has it. */
function frame(bytes: number, masked: boolean): Buffer {
  const mask = masked ? 0x80 : 0
  const key = masked ? Buffer.alloc(4) : Buffer.alloc(0)
  const wide = Buffer.alloc(10)
  wide[0] = 0x82
  wide[1] = mask | (bytes < 126 ? bytes : bytes < 65_536 ? 126 : 127)
  if (bytes >= 65_536) wide.writeBigUInt64BE(BigInt(bytes), 2)
  else if (bytes >= 126) wide.writeUInt16BE(bytes, 2)
  const head = wide.subarray(0, bytes < 126 ? 2 : bytes < 65_536 ? 4 : 10)
  return Buffer.concat([head, key, Buffer.alloc(bytes, 0x88)])
}

test('however frames are cut into pieces, their edges are known', () => {
  const sizes = fc.array(
    fc.record({ bytes: fc.constantFrom(0, 1, 125, 126, 127, 65_535, 65_536, 70_000), masked: fc.boolean() }),
    {
      minLength: 1,
      maxLength: 4,
    },
  )
  fc.assert(
    fc.property(sizes, fc.array(fc.nat(80_000), { maxLength: 8 }), (frames, cuts) => {
      const built = frames.map(({ bytes, masked }) => frame(bytes, masked))
      const all = Buffer.concat(built)
      const edges = new Set<number>([0])
      for (const [i] of built.entries()) edges.add(built.slice(0, i + 1).reduce((sum, { length }) => sum + length, 0))
      const edge = new FrameEdge()
      let from = 0

      for (const to of [...new Set(cuts.map((cut) => cut % all.length)), all.length].sort((a, b) => a - b)) {
        edge.pass(all.subarray(from, to))
        from = to
        assert.equal(edge.atEdge, edges.has(to), `at ${to} of ${all.length}`)
      }
    }),
  )
})

test('a client takes the close frame for what it is', async (t) => {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  t.after(() => server.close())
  await once(server, 'listening')
  server.on('connection', (socket) => {
    ;(socket as unknown as { _socket: Duplex })._socket.write(closeFrame(1012, 'come back'))
  })
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)

  const [code, reason] = await once(client, 'close')

  assert.deepEqual([code, String(reason)], [1012, 'come back'])
})
