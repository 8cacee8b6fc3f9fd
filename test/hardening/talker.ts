import { once } from 'node:events'
import WebSocket, { type ClientOptions } from 'ws'
import { until } from '../until.ts'

export interface Told {
  readonly type: string
  readonly id?: string
  readonly code?: string
  readonly [field: string]: unknown
}

/** A client that takes note of all it is told. */
export interface Talker {
  readonly socket: WebSocket
  readonly told: Told[]
  say(message: object | string): void
  /** Says it, and resolves with the first answer of its id that comes after. */
  ask(message: object): Promise<Told>
  /** Resolves with the close code. */
  readonly closed: Promise<number>
}

export function talker(url: string, options: ClientOptions = {}): Talker {
  const socket = new WebSocket(url, 'freshet.v1+json', options)
  const told: Told[] = []
  socket.on('message', (data) => told.push(JSON.parse(String(data)) as Told))
  socket.on('error', () => {})
  const closed = once(socket, 'close').then(([code]) => code as number)
  const say = (message: object | string) => socket.send(typeof message === 'string' ? message : JSON.stringify(message))
  return {
    socket,
    told,
    closed,
    say,
    async ask(message) {
      const from = told.length
      const { id } = message as { id?: string }
      const answer = () => told.slice(from).find((each) => each.id === id)
      say(message)
      await until(`an answer to ${id}`, () => answer() !== undefined, 10_000, 1)
      return answer()!
    },
  }
}

/** One that has heard `ready`. */
export async function connected(url: string, options: ClientOptions = {}): Promise<Talker> {
  const each = talker(url, options)
  await until('it is ready', () => each.told.some(({ type }) => type === 'ready'), 30_000, 1)
  return each
}
