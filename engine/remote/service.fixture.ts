import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { hashEngine } from '../hash-engine.ts'

/** What a service does instead of answering as it should, once. */
export type Trouble =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  | 'hang'
  | 'cut'
  /** Half an answer, then the connection ends. */
  | 'cut-answer'
  | 'fewer'
  | 'nan'
  | 'zeros'
  | 'short'
  | 'same-index'
  | 'no-json'

/** A small real service that speaks OpenAI's and TEI's formats, with vectors of hashed words, and can misbehave. */
export interface FakeService extends AsyncDisposable {
  readonly url: string
  readonly port: number
  /** The texts of each request that came, those of troubled ones too. */
  readonly requests: string[][]
  readonly authorizations: (string | undefined)[]
  /** In order, one for each of the next requests. */
  readonly troubles: Trouble[]
  /** For every request that has these texts; null: none. */
  troubleFor: (texts: readonly string[]) => Trouble | null
  /** As if somebody had put another model in its place. */
  otherModel: boolean
  info: object
  /** At the moment. */
  readonly running: number
  /** At most, so far. */
  runningMost: number
  /** Answers wait for this. */
  gate: Promise<void>
  stop(): Promise<void>
  /** At the same port. */
  start(): Promise<void>
}

export async function fakeService(port = 0): Promise<FakeService> {
  const engine = hashEngine({ maxTokens: 8_000 })
  let running = 0
  let listening = port
  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()))

  async function vectorsOf(texts: readonly string[]): Promise<number[][]> {
    const vectors = await engine.embed(texts, { as: 'document' })
    // Not of length one, as some services give them.
    return vectors.map((vector) => [...(service.otherModel ? vector.toReversed() : vector)].map((each) => each * 3))
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url === '/info') return reply(response, service.info)
    const body = (await json(request)) as { input?: string[]; inputs?: string[]; encoding_format?: string }
    const texts = body.input ?? body.inputs!
    service.requests.push(texts)
    service.authorizations.push(request.headers.authorization)
    running += 1
    service.runningMost = Math.max(service.runningMost, running)
    try {
      await service.gate
      const trouble = service.troubleFor(texts) ?? service.troubles.shift() ?? null
      if (trouble === 'hang') return
      if (trouble === 'cut') return void request.socket.destroy()
      if (trouble === 'no-json') return void response.end('<html>welcome</html>')
      if (trouble === 'cut-answer') {
        response.writeHead(200, { 'content-length': '5000' }).write('[[0.5,')
        return void setTimeout(() => request.socket.destroy(), 5)
      }
      if (trouble !== null && typeof trouble === 'object')
        return void response.writeHead(trouble.status, trouble.headers).end(trouble.body ?? '')
      const vectors = spoilt(await vectorsOf(texts), trouble)
      if (request.url === '/embed') return reply(response, vectors)
      const data = vectors.map((embedding, i) => ({
        object: 'embedding',
        index: trouble === 'same-index' ? 0 : i,
        embedding:
          body.encoding_format === 'base64'
            ? Buffer.from(Float32Array.from(embedding).buffer).toString('base64')
            : embedding,
      }))
      // The order in the list is nobody's promise; the index is.
      const total_tokens = texts.reduce((sum, text) => sum + 2 + text.split(/\s+/).length, 0)
      reply(response, { object: 'list', data: data.reverse(), usage: { prompt_tokens: total_tokens, total_tokens } })
    } finally {
      running -= 1
    }
  }

  const service: FakeService = {
    get url() {
      return `http://127.0.0.1:${listening}`
    },
    get port() {
      return listening
    },
    get running() {
      return running
    },
    requests: [],
    authorizations: [],
    troubles: [],
    troubleFor: () => null,
    otherModel: false,
    info: { model_id: 'hash', model_sha: 'r1', max_input_length: 512 },
    runningMost: 0,
    gate: Promise.resolve(),
    async stop() {
      if (!server.listening) return
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
    async start() {
      server.listen(listening, '127.0.0.1')
      await once(server, 'listening')
      listening = (server.address() as AddressInfo).port
    },
    [Symbol.asyncDispose]: () => service.stop(),
  }
  await service.start()
  return service
}

function spoilt(vectors: number[][], trouble: Trouble | null): number[][] {
  if (trouble === 'fewer') return vectors.slice(1)
  const [first, ...rest] = vectors
  if (trouble === 'nan') return [first!.map(() => null as unknown as number), ...rest]
  if (trouble === 'zeros') return [first!.map(() => 0), ...rest]
  if (trouble === 'short') return [first!.slice(1), ...rest]
  return vectors
}

function reply(response: ServerResponse, body: object): void {
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
