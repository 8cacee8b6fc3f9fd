import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { deflateRawSync } from 'node:zlib'
import { until } from '../until.ts'
import { heldMiB } from './memory.ts'
import { playedService } from './played-service.ts'
import { frame, type RawSocket, rawSocket } from './raw-socket.ts'
import { connected, type Talker } from './talker.ts'

/** What the advisories about WebSocket libraries tell of, and what one small message can cost: refused, at no cost that counts. */

const text = (value: string) => Buffer.from(value)
const search = '{"type":"search","id":"1","query":"a"}'
const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
const fields = (count: number, value: string) => Array.from({ length: count }, (_, i) => `"k${i}":${value}`).join()

/** By bytes: the close code that each ends with. */
const byBytes: Readonly<Record<string, readonly [(raw: RawSocket) => Promise<void> | void, number]>> = {
  'more fragments than a message may have': [
    ({ socket }) => {
      socket.write(frame(text('x'), { isLast: false }))
      for (let i = 0; i < 100_000 && !socket.destroyed; i++)
        socket.write(frame(text('x'), { opcode: 0, isLast: false }))
    },
    1008,
  ],
  'empty fragments without end': [
    ({ socket }) => {
      socket.write(frame(text(''), { isLast: false }))
      for (let i = 0; i < 100_000 && !socket.destroyed; i++) socket.write(frame(text(''), { opcode: 0, isLast: false }))
    },
    1008,
  ],
  'a frame that comes byte by byte': [
    async (raw) => {
      raw.socket.write(frame(text(''), { declared: 1_000_000n }))
      for (let i = 0; i < 100_000 && raw.isOpen; i++) {
        raw.socket.write('x')
        await turn()
      }
    },
    1008,
  ],
  'a frame said to be of 2^62 bytes': [
    ({ socket }) => void socket.write(frame(text('x'), { declared: 2n ** 62n })),
    1009,
  ],
  'a frame said to be of 4 GiB': [({ socket }) => void socket.write(frame(text('x'), { declared: 2n ** 32n })), 1009],
  'fragments that are too large together': [
    ({ socket }) => {
      socket.write(frame(Buffer.alloc(600_000, 'x'), { isLast: false }))
      socket.write(frame(Buffer.alloc(600_000, 'x'), { opcode: 0 }))
    },
    1009,
  ],
  'a compressed bomb': [
    ({ socket }) =>
      void socket.write(frame(deflateRawSync(Buffer.alloc(64 * 2 ** 20, 'x')).subarray(0, 60_000), { reserved: 4 })),
    1002,
  ],
  'a frame without a mask': [({ socket }) => void socket.write(frame(text(search), { isMasked: false })), 1002],
  'a reserved opcode': [({ socket }) => void socket.write(frame(text(search), { opcode: 3 })), 1002],
  'a control frame in fragments': [
    ({ socket }) => void socket.write(frame(text('x'), { opcode: 9, isLast: false })),
    1002,
  ],
  'a control frame that is too long': [
    ({ socket }) => void socket.write(frame(Buffer.alloc(126), { opcode: 9 })),
    1002,
  ],
  'a rest of a message that never began': [({ socket }) => void socket.write(frame(text('x'), { opcode: 0 })), 1002],
  'a close frame with a code that is none': [
    ({ socket }) => void socket.write(frame(Buffer.from([0, 1]), { opcode: 8 })),
    1002,
  ],
  'text that is no UTF-8': [({ socket }) => void socket.write(frame(Buffer.from([0x22, 0xff, 0xfe, 0x22]))), 1007],
}

/** By messages, which are answered with an error. */
const byMessages: Readonly<Record<string, string>> = {
  'a value nested half a million deep': `{"type":"search","id":"1","query":"a","k":${nested(500_000)}}`,
  'a filter nested deeply': `{"type":"search","id":"1","query":"a","filter":${'{"$not":'.repeat(50_000)}{}${'}'.repeat(50_000)}}`,
  'a document whose attributes are nested deeply': `{"type":"publish","id":"1","documents":[{"id":"a","text":"a","attributes":{"a":${nested(400_000)}}}]}`,
  'a filter of many faulty conditions': `{"type":"search","id":"1","query":"a","filter":{${fields(60_000, '{}')}}}`,
  'many faulty attributes': `{"type":"publish","id":"1","documents":[{"id":"a","text":"a","attributes":{${fields(60_000, '{}')}}}]}`,
  'many fields that nobody knows': `{"type":"search","id":"1","query":"a",${fields(60_000, '1')}}`,
  'many documents that are none': `{"type":"publish","id":"1","documents":[${'0,'.repeat(400_000)}0]}`,
  'a vector of many strings': `{"type":"search","id":"1","query":{"vector":[${'"",'.repeat(300_000)}""],"space":"a"}}`,
  'names of prototypes': '{"type":"search","id":"1","query":"a","__proto__":{"k":1},"filter":{"__proto__":{"in":[1]}}}',
}

async function unharmed({ faults }: { faults: readonly unknown[] }, bystander: Talker, before: number, what: string) {
  assert.equal((await bystander.ask({ type: 'search', id: what, query: 'a' })).type, 'result', what)
  assert.deepEqual(faults, [], what)
  const grownBy = (await heldMiB()) - before
  assert.ok(grownBy < 20, `${what}: ${grownBy.toFixed(1)} MiB are held`)
}

test('bytes that are no good WebSocket end their connection with the reason, at the cost of less than 20 MB', async () => {
  await using service = await playedService()
  const bystander = await connected(service.url)
  const before = await heldMiB()

  for (const [what, [attack, code]] of Object.entries(byBytes)) {
    const raw = await rawSocket(service.port)
    await attack(raw)
    await until(`${what} is refused`, () => service.connections.size === 1)
    raw.socket.resume()
    assert.equal(await raw.closed, code, what)
    await unharmed(service, bystander, before, what)
  }
})

test('a message that is made to cost much is answered with a bad_request, at the cost of less than 20 MB', async () => {
  await using service = await playedService()
  const bystander = await connected(service.url)
  const raw = await rawSocket(service.port)
  const before = await heldMiB()

  for (const [what, message] of Object.entries(byMessages)) {
    const from = raw.told.length
    raw.socket.write(frame(text(message)))
    await until(`${what} is answered`, () => raw.told.length > from)
    const answer = JSON.parse(raw.told.at(-1)!) as { code: string; message: string }
    assert.equal(answer.code, 'bad_request', what)
    assert.ok(answer.message.length < 20_000, `${what}: the answer has ${answer.message.length} characters`)
    await unharmed(service, bystander, before, what)
  }
  raw.socket.destroy()
})

test('over HTTP too what is nested deeply is refused before it is parsed', async () => {
  await using service = await playedService()
  const post = (body: string) => fetch(`http://127.0.0.1:${service.port}/v1/search`, { method: 'POST', body })

  const deep = await post(`{"query":${nested(5_000_000)}}`)
  const inAddress = await fetch(`http://127.0.0.1:${service.port}/v1/subscribe?query=a&filter=${nested(3_000)}`)

  assert.deepEqual([deep.status, inAddress.status], [400, 400])
  assert.match(await deep.text(), /nested more than 16 deep/)
  assert.deepEqual(service.faults, [])
})

test('a handshake with more headers than there may be is refused', async () => {
  await using service = await playedService()

  const refused = await rawSocket(
    service.port,
    Array.from({ length: 2_000 }, (_, i) => `x-${i}: ${'y'.repeat(20)}`),
  )

  assert.equal(await refused.closed, null)
  assert.equal(service.connections.size, 0)
})

test('who asks for pings to be answered and does not read is not answered for ever', async () => {
  await using service = await playedService()
  const raw = await rawSocket(service.port)
  raw.socket.pause()
  const [[socket]] = service.connections as unknown as [[{ bufferedAmount: number; _socket: net.Socket }]]
  // A pong among them, so that it is not taken for dead.
  const flood = Buffer.concat([
    ...Array.from({ length: 400 }, () => frame(Buffer.alloc(125), { opcode: 9 })),
    frame(text(''), { opcode: 10 }),
  ])
  const before = socket._socket.bytesRead
  let most = 0

  for (let second = 1; second <= 200; second++) {
    raw.socket.write(flood)
    await until('it is read', () => socket._socket.bytesRead === before + second * flood.length, 10_000, 1)
    most = Math.max(most, socket.bufferedAmount)
    service.clock.advance(1_000)
  }

  assert.equal(service.connections.size, 1)
  assert.ok(most < 2 ** 18, `${most} bytes wait`)
  raw.socket.destroy()
})

test('a refused handshake whose client is gone hurts nobody', async () => {
  await using service = await playedService()
  const bystander = await connected(service.url)

  for (let i = 1; i <= 20; i++) {
    const socket = net.connect(service.port, '127.0.0.1')
    socket.on('error', () => {})
    const request =
      'GET /elsewhere HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n'
    socket.write(request, () => socket.resetAndDestroy())
    await until('it is refused', () => service.refused.length === i)
  }

  assert.equal((await bystander.ask({ type: 'search', id: '1', query: 'a' })).type, 'result')
})
