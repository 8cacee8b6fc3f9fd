import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/**
 * The way of one role to Kafka, which can lose what goes over it. Kafka tells clients where its brokers are, so the line puts its own
 * port in place of the broker's in the answers to Metadata and FindCoordinator; nothing else is changed, and the broker is not touched.
 */
export interface KafkaLine extends AsyncDisposable {
  /** For FRESHET_KAFKA. */
  readonly address: string
  /** Decides about each request. Default: it passes. */
  treat(by: (request: KafkaRequest) => KafkaTreatment): void
  /** From now on nothing arrives in this direction: it comes late, when the line is healed, as TCP sends again what was lost. */
  hold(direction: 'to' | 'from' | 'both'): void
  /**
   * All that comes from now on passes. What was held arrives, or never does: then the connections that it was held on stay silent, as
   * behind a router that has forgotten them, and only new ones work.
   */
  heal(held?: 'arrives' | 'is lost'): void
  /** Pieces that were held since the beginning. */
  readonly held: number
  /** Answers that were lost since the beginning: Kafka had done what was asked. */
  readonly lost: number
}

export interface KafkaRequest {
  /** As in Kafka's protocol: `apis` has those that rows ask for. */
  readonly api: number
  readonly bytes: Buffer
}

/** `lose`: the answer never comes. `hang up`: the connection breaks instead of the answer. `hold`: the request comes late. */
export type KafkaTreatment = 'pass' | 'hold' | 'lose' | 'hang up'

export const apis = { produce: 0, metadata: 3, findCoordinator: 10, endTransaction: 26 } as const

export async function openKafkaLine(kafka: string): Promise<KafkaLine> {
  const [host, brokerPort] = [kafka.split(':')[0]!, Number(kafka.split(':')[1])]
  const ways = new Set<Way>()
  const holding = { to: false, from: false }
  let treatment: (request: KafkaRequest) => KafkaTreatment = () => 'pass'
  let held = 0
  let lost = 0
  let ownPort = 0

  /** One direction of one connection. */
  const openWay = (direction: 'to' | 'from', socket: Socket): Way => {
    const late: Buffer[] = []
    let ended = false
    let silent = false
    const way: Way = {
      send(bytes, hold = holding[direction]) {
        if (silent) return
        if (!hold) return void socket.write(bytes)
        held++
        late.push(bytes)
      },
      end() {
        ended = true
        if (silent || (!holding[direction] && late.length === 0)) socket.destroy()
      },
      heal(how) {
        const bytes = late.splice(0)
        if (how === 'is lost' && bytes.length > 0) silent = true
        else for (const each of bytes) socket.write(each)
        if (ended) socket.end()
      },
    }
    ways.add(way)
    socket.on('close', () => ways.delete(way))
    return way
  }

  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ host, port: brokerPort, noDelay: true })
    const asked = new Map<number, { api: number; treatment: KafkaTreatment }>()
    const [to, from] = [openWay('to', far), openWay('from', near)]
    near.on(
      'data',
      frames((frame) => {
        const request = { api: frame.readInt16BE(4), bytes: frame }
        const how = treatment(request)
        asked.set(frame.readInt32BE(8), { api: request.api, treatment: how })
        to.send(frame, how === 'hold' || undefined)
      }),
    )
    far.on(
      'data',
      frames((frame) => {
        const correlation = frame.readInt32BE(4)
        const { api, treatment: how } = asked.get(correlation) ?? { api: -1, treatment: 'pass' }
        asked.delete(correlation)
        if (how === 'lose' || how === 'hang up') {
          lost++
          if (how === 'hang up') near.destroy()
          return
        }
        if (api === apis.metadata || api === apis.findCoordinator) readdress(frame, host, brokerPort, ownPort)
        from.send(frame)
      }),
    )
    for (const [socket, way] of [
      [near, to],
      [far, from],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        sockets.delete(socket)
        way.end()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the line has no port')
  ownPort = address.port
  return {
    address: `${host}:${ownPort}`,
    treat(by) {
      treatment = by
    },
    hold(direction) {
      if (direction !== 'from') holding.to = true
      if (direction !== 'to') holding.from = true
    },
    heal(how = 'arrives') {
      treatment = () => 'pass'
      holding.to = holding.from = false
      for (const way of ways) way.heal(how)
    },
    get held() {
      return held
    },
    get lost() {
      return lost
    },
    async [Symbol.asyncDispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
      await once(server, 'close')
    },
  }
}

interface Way {
  send(bytes: Buffer, hold?: boolean): void
  /** The other side has hung up. */
  end(): void
  heal(how: 'arrives' | 'is lost'): void
}

/** Puts bytes together to whole messages of Kafka's protocol: a size of four bytes, and so many more. */
function frames(each: (frame: Buffer) => void): (bytes: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0)
  return (bytes) => {
    rest = rest.length === 0 ? bytes : Buffer.concat([rest, bytes])
    while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
      const size = 4 + rest.readInt32BE(0)
      each(Buffer.from(rest.subarray(0, size)))
      rest = rest.subarray(size)
    }
  }
}

/** A broker is its host as text, and behind it its port in four bytes. */
function readdress(frame: Buffer, host: string, from: number, to: number): void {
  for (let at = frame.indexOf(host); at >= 0; at = frame.indexOf(host, at + 1)) {
    const portAt = at + host.length
    if (portAt + 4 <= frame.length && frame.readInt32BE(portAt) === from) frame.writeInt32BE(to, portAt)
  }
}
