import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { type WebSocket, WebSocketServer } from 'ws'
import { type Client, type ConnectOptions, connectIn, type SearchHit } from '../../client/client.ts'
import { ownSurroundings, type Surroundings } from '../../client/surroundings.ts'
import { tokenOf } from '../../search/freshness.ts'
import { differenceOf } from '../../search/result-diff.ts'

/** A query service on real sockets whose answers, and whose end, a test decides. */
export interface PlayedService {
  readonly url: string
  /** All that came, over every connection. */
  readonly received: Received[]
  /** ids of the documents that were written, as often as they were. */
  readonly written: string[]
  readonly connections: number
  readonly open: number
  /** The list of every state that the standing query ever had, by `epoch:seq`. */
  readonly lists: ReadonlyMap<string, readonly SearchHit[]>
  readonly at: { readonly epoch: string; readonly seq: number }
  /** The list becomes this one, and who follows hears of it. */
  become(hits: readonly SearchHit[], epoch?: string): void
  /** To every connection. */
  tell(message: object | string | Buffer): void
  close(code: number, reason?: string): void
  cut(): void
  /** Before anything is done with a message, and before each is sent: `true` ends the matter there. */
  intervene: (what: { heard?: Received; sent?: Received }, socket: WebSocket) => boolean
  /** Refuses handshakes so, from now on; null: takes them. */
  refusal: { readonly status: number; readonly code: string; readonly headers?: Record<string, string> } | null
}

export interface Received {
  readonly type: string
  readonly id?: string
  readonly [field: string]: unknown
}

/** `statesKept`: how many a client can resume from. */
export async function playService(
  t: TestContext,
  { statesKept = 4, heartbeatMs = 25_000 } = {},
): Promise<PlayedService> {
  const server = createServer((_request, response) => {
    const { status, code, headers } = service.refusal ?? { status: 426, code: 'upgrade_required', headers: {} }
    response.writeHead(status, { 'content-type': 'application/problem+json', ...headers })
    response.end(JSON.stringify({ code, detail: `refused: ${code}` }))
  })
  const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => 'freshet.v1+json' })
  const followers = new Map<WebSocket, Map<string, readonly SearchHit[]>>()
  const lists = new Map<string, readonly SearchHit[]>([['a:1', []]])
  let [epoch, seq, hits, offset, connections]: [string, number, readonly SearchHit[], number, number] = [
    'a',
    1,
    [],
    0,
    0,
  ]

  const send = (socket: WebSocket, message: Received): void => {
    if (!service.intervene({ sent: message }, socket)) socket.send(JSON.stringify(message))
  }
  const asOf = () => ({
    token: tokenOf({ epoch: 1, documents: { 0: offset } }),
    staleMs: 0,
    complete: true,
    ingestStaleMs: 0,
  })
  const answers: Record<string, (message: Received, socket: WebSocket, id: string) => void> = {
    ping: (_, socket) => send(socket, { type: 'pong' }),
    init: (_, socket) => send(socket, ready()),
    search: (_, socket, id) => send(socket, { type: 'result', id, hits, asOf: asOf(), ms: { embed: 0, search: 0 } }),
    publish({ documents, ack }, socket, id) {
      const written = (documents as { id: string }[]).map((document) => {
        service.written.push(document.id)
        return ++offset
      })
      send(socket, { type: 'accepted', id, token: tokenOf({ epoch: 1, documents: { 0: written } }) })
      const documents_ = written.map((each) => ({ partition: 0, offset: each, outcome: 'indexed', reason: null }))
      send(socket, { type: 'done', id, ...(ack === 'indexed' && { documents: documents_ }) })
    },
    wait: (_, socket, id) => send(socket, { type: 'done', id, documents: [], asOf: asOf() }),
    cancel: ({ id = '' }, socket) => void followers.get(socket)?.delete(id),
    subscribe({ resume }, socket, id) {
      followers.get(socket)?.set(id, hits)
      const seen = resume as { epoch: string; seq: number } | undefined
      const before =
        seen?.epoch === epoch && seq - seen.seq < statesKept ? lists.get(`${epoch}:${seen.seq}`) : undefined
      if (before === undefined) send(socket, { type: 'snapshot', id, epoch, seq, hits, asOf: asOf(), recovered: false })
      else
        send(socket, { type: 'diff', id, epoch, seq, ops: differenceOf(before, hits), asOf: asOf(), recovered: true })
    },
  }
  const ready = () => ({ type: 'ready', connection: 'c', heartbeatMs, limits: LIMITS, token: asOf().token })

  server.on('upgrade', (request, socket, head) => {
    if (service.refusal !== null) return socket.end(`HTTP/1.1 ${service.refusal.status} No\r\n\r\n`)
    sockets.handleUpgrade(request, socket, head, (opened) => {
      connections++
      followers.set(opened, new Map())
      opened.on('close', () => followers.delete(opened))
      opened.on('error', () => {})
      opened.on('message', (data) => {
        const heard = JSON.parse(String(data)) as Received
        service.received.push(heard)
        if (!service.intervene({ heard }, opened)) answers[heard.type]?.(heard, opened, heard.id ?? '')
      })
      service.received.push({ type: 'handshake', authorization: request.headers.authorization })
      send(opened, ready())
    })
  })

  const service: PlayedService = {
    url: '',
    received: [],
    written: [],
    lists,
    refusal: null,
    intervene: () => false,
    get connections() {
      return connections
    },
    get open() {
      return followers.size
    },
    get at() {
      return { epoch, seq }
    },
    become(next, nextEpoch = epoch) {
      const isNew = nextEpoch !== epoch
      ;[epoch, seq, hits] = [nextEpoch, isNew ? 1 : seq + 1, next]
      lists.set(`${epoch}:${seq}`, next)
      for (const [socket, ids] of followers)
        for (const [id, told] of [...ids]) {
          ids.set(id, next)
          if (isNew) send(socket, { type: 'snapshot', id, epoch, seq, hits, asOf: asOf(), recovered: false })
          else send(socket, { type: 'diff', id, epoch, seq, ops: differenceOf(told, next), asOf: asOf() })
        }
    },
    tell(message) {
      for (const socket of followers.keys())
        socket.send(typeof message === 'string' || Buffer.isBuffer(message) ? message : JSON.stringify(message))
    },
    close(code, reason = '') {
      for (const socket of followers.keys()) socket.close(code, reason)
    },
    cut() {
      for (const socket of followers.keys()) socket.terminate()
    },
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets.clients) socket.terminate()
    server.closeAllConnections()
    server.close()
  })
  return Object.defineProperty(service, 'url', {
    value: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/v1/ws`,
  })
}

const LIMITS = { messageBytesMax: 10_000, operationsMax: 64 }

/** A client that comes back at once, and is closed with the test. */
export async function clientOf(
  t: TestContext,
  { url }: { readonly url: string },
  options: ConnectOptions = {},
  around: Partial<Surroundings> = {},
): Promise<Client> {
  const client = await connectIn({ ...ownSurroundings(options.WebSocket), random: () => 0, ...around }, url, options)
  t.after(() => client.close())
  return client
}

export function hitOf(hitId: string, score = 1, text = hitId): SearchHit {
  const place = { documentId: hitId.split('#')[0]!, ordinal: 0, span: [0, text.length] as const }
  return { hitId, ...place, score, text, title: null, url: null, attributes: {}, revision: '1:1' }
}

export const hitsOf = (...ids: readonly string[]): SearchHit[] => ids.map((id, i) => hitOf(id, ids.length - i))
