import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { until } from '../until.ts'

/** A WebSocket of bare bytes: sends what no library would. */
export interface RawSocket {
  readonly socket: net.Socket
  /** Text messages that came. */
  readonly told: string[]
  readonly isOpen: boolean
  /** Resolves with the close code that the server gave; null where the connection just ended. */
  readonly closed: Promise<number | null>
}

export interface FrameOptions {
  readonly opcode?: number
  readonly isLast?: boolean
  readonly isMasked?: boolean
  /** Bits that only an extension may set. */
  readonly reserved?: number
  /** Said to be this long, whatever comes. */
  readonly declared?: bigint
}

export function frame(
  payload: Buffer,
  { opcode = 1, isLast = true, isMasked = true, reserved = 0, declared }: FrameOptions = {},
): Buffer {
  const length = declared ?? BigInt(payload.length)
  const head = [(isLast ? 0x80 : 0) | (reserved << 4) | opcode]
  const maskBit = isMasked ? 0x80 : 0
  if (length < 126n) head.push(maskBit | Number(length))
  else if (length < 65_536n) head.push(maskBit | 126, Number(length >> 8n), Number(length & 255n))
  else {
    head.push(maskBit | 127)
    for (let shift = 56n; shift >= 0n; shift -= 8n) head.push(Number((length >> shift) & 255n))
  }
  if (!isMasked) return Buffer.concat([Buffer.from(head), payload])
  const mask = randomBytes(4)
  return Buffer.concat([Buffer.from(head), mask, payload.map((byte, i) => byte ^ mask[i % 4]!)])
}

/** Connected, with the service's `ready`. */
export async function rawSocket(port: number, headers: readonly string[] = []): Promise<RawSocket> {
  const socket = net.connect(port, '127.0.0.1')
  socket.setNoDelay(true)
  socket.on('error', () => {})
  const told: string[] = []
  let code: number | null = null
  let rest = Buffer.alloc(0)
  let isUpgraded = false
  let isOpen = true
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk])
    if (!isUpgraded) {
      const end = rest.indexOf('\r\n\r\n')
      if (end < 0 || !rest.subarray(0, 12).toString().includes('101')) return
      isUpgraded = true
      rest = rest.subarray(end + 4)
    }
    for (let next = nextFrame(rest); next !== null; next = nextFrame(rest)) {
      rest = rest.subarray(next.bytes)
      if (next.opcode === 1) told.push(next.payload.toString())
      if (next.opcode === 8 && next.payload.length >= 2) code = next.payload.readUInt16BE()
    }
  })
  const closed = new Promise<number | null>((resolve) =>
    socket.once('close', () => {
      isOpen = false
      resolve(code)
    }),
  )
  await once(socket, 'connect')
  socket.write(
    [
      'GET /v1/ws HTTP/1.1',
      'Host: service',
      'Upgrade: websocket',
      'Connection: Upgrade',
      'Sec-WebSocket-Version: 13',
      'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
      'Sec-WebSocket-Protocol: freshet.v1+json',
      ...headers,
      '',
      '',
    ].join('\r\n'),
  )
  await until('it is ready, or refused', () => told.length > 0 || !isOpen, 30_000, 1)
  return {
    socket,
    told,
    closed,
    get isOpen() {
      return isOpen
    },
  }
}

/** A server's: without a mask. */
function nextFrame(bytes: Buffer): { opcode: number; payload: Buffer; bytes: number } | null {
  if (bytes.length < 2) return null
  const short = bytes[1]! & 0x7f
  const head = short === 127 ? 10 : short === 126 ? 4 : 2
  if (bytes.length < head) return null
  const length = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short
  if (bytes.length < head + length) return null
  return { opcode: bytes[0]! & 0x0f, payload: bytes.subarray(head, head + length), bytes: head + length }
}
