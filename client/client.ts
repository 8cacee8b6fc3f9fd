/**
 * The SDK: search, publish and wait over one WebSocket. It has no dependencies and runs in browsers and in Node 22 and later.
 * Every call resolves with the answer or rejects with a `FreshetError`.
 */
export interface Client {
  /** How far the index was when the connection was made. */
  readonly token: string
  readonly limits: Readonly<Record<string, number>>
  search(request: SearchRequest): Promise<SearchAnswer>
  /** Resolves with a token once Kafka has the documents; with `ack: 'indexed'`, once they can be found. */
  publish(
    documents: readonly PublishItem[],
    options?: { ack?: 'accepted' | 'indexed'; timeoutMs?: number },
  ): Promise<PublishAnswer>
  /** Resolves when the index has everything that the token stands for. */
  wait(
    after: string,
    timeoutMs?: number,
  ): Promise<{ readonly documents: readonly DocumentOutcome[]; readonly asOf: AsOf }>
  close(): Promise<void>
}

export interface SearchRequest {
  readonly query: string | { readonly vector: readonly number[]; readonly space: string } | { readonly like: string }
  readonly k?: number
  readonly mode?: 'hybrid' | 'dense' | 'keyword'
  readonly filter?: Readonly<Record<string, unknown>>
  readonly groupBy?: 'document'
  /** Of each document at most so many chunks. */
  readonly perDocument?: number
  readonly scoreMin?: number
  readonly weights?: { readonly dense: number; readonly keyword: number }
  /** Every point is compared, instead of those that an approximate index leads to. */
  readonly exact?: boolean
  readonly language?: string
  readonly freshness?:
    | 'any'
    | { readonly maxStalenessMs: number; readonly timeoutMs?: number }
    | { readonly after: string; readonly timeoutMs?: number; readonly onTimeout?: 'error' | 'stale' }
}

export interface AsOf {
  readonly token: string
  readonly staleMs: number
  readonly complete: boolean
  readonly ingestStaleMs: number
}

export interface SearchHit {
  /** The same in every revision of the document. */
  readonly hitId: string
  readonly documentId: string
  readonly ordinal: number
  readonly score: number
  readonly text: string
  readonly title: string | null
  readonly url: string | null
  readonly attributes: Readonly<Record<string, unknown>>
  readonly revision: string
  readonly span: readonly [number, number]
}

export interface SearchAnswer {
  readonly hits: readonly SearchHit[]
  readonly asOf: AsOf
  readonly ms: { readonly embed: number; readonly search: number }
}

export type PublishItem =
  | {
      readonly id: string
      readonly text: string
      readonly title?: string | null
      readonly contentType?: string | null
      readonly url?: string | null
      readonly language?: string | null
      readonly attributes?: Readonly<Record<string, string | number | boolean | readonly string[]>>
      /** Groups whose members are shown it; left out: everyone of the tenant. */
      readonly acl?: readonly string[] | null
    }
  | { readonly id: string; readonly delete: true }

export interface DocumentOutcome {
  readonly partition: number
  readonly offset: number
  readonly outcome: 'indexed' | 'deleted' | 'unchanged' | 'superseded' | 'rejected' | 'applied'
  readonly reason: string | null
}

export interface PublishAnswer {
  readonly token: string
  readonly documents: readonly DocumentOutcome[]
}

export class FreshetError extends Error {
  override name = 'FreshetError'
  readonly code: string
  readonly retryable: boolean
  /** When the server wants to be asked again; undefined: it did not say. */
  readonly retryAfterMs: number | undefined
  constructor(code: string, message: string, retryable = false, retryAfterMs?: number) {
    super(message)
    this.code = code
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs
  }
}

interface Waiting {
  resolve(message: Message): void
  reject(error: Error): void
  token?: string
}

interface Message {
  readonly type: string
  readonly id?: string
  readonly [field: string]: unknown
}

export interface ConnectOptions {
  /** An API key or a JWT. */
  readonly apiKey?: string
  readonly timeoutMs?: number
}

export async function connect(url: string, { apiKey, timeoutMs = 5_000 }: ConnectOptions = {}): Promise<Client> {
  const socket = open(url, apiKey)
  const waiting = new Map<string, Waiting>()
  let count = 0
  let gone: FreshetError | null = null

  const ready = await new Promise<Message>((resolve, reject) => {
    const timer = setTimeout(() => reject(unreachable(url)), timeoutMs)
    socket.addEventListener('error', () => void whyNot(url, apiKey).then(reject))
    socket.addEventListener('close', ({ code, reason }) => code !== 1006 && reject(closed(code, reason)))
    if (apiKey !== undefined && isBrowser)
      socket.addEventListener('open', () => socket.send(JSON.stringify({ type: 'init', token: apiKey })))
    socket.addEventListener(
      'message',
      ({ data }) => {
        const message = JSON.parse(String(data)) as Message
        if (message.type !== 'ready') return
        clearTimeout(timer)
        resolve(message)
      },
      { once: true },
    )
  })

  socket.addEventListener('message', ({ data }) => {
    const message = JSON.parse(String(data)) as Message
    const { id, type } = message
    const operation = id === undefined ? undefined : waiting.get(id)
    if (operation === undefined || id === undefined) return
    if (type === 'accepted') {
      operation.token = String(message.token)
      return
    }
    waiting.delete(id)
    if (type === 'error')
      operation.reject(
        new FreshetError(
          String(message.code),
          String(message.message),
          message.retryable === true,
          typeof message.retryAfterMs === 'number' ? message.retryAfterMs : undefined,
        ),
      )
    else operation.resolve({ ...message, ...(operation.token !== undefined && { token: operation.token }) })
  })
  socket.addEventListener('close', ({ code, reason }) => {
    gone = closed(code, reason)
    for (const { reject } of waiting.values()) reject(gone)
    waiting.clear()
  })

  const ask = (message: object): Promise<Message> =>
    new Promise((resolve, reject) => {
      if (gone !== null) return reject(gone)
      const id = String(++count)
      waiting.set(id, { resolve, reject })
      socket.send(JSON.stringify({ id, ...message }))
    })

  return {
    token: String(ready.token),
    limits: ready.limits as Record<string, number>,
    search: async (request) => (await ask({ type: 'search', ...request })) as unknown as SearchAnswer,
    async publish(documents, options = {}) {
      const { token, documents: outcomes } = await ask({ type: 'publish', documents, ...options })
      return { token: String(token), documents: (outcomes ?? []) as DocumentOutcome[] }
    },
    wait: async (after, waitMs = 5_000) => (await ask({ type: 'wait', after, timeoutMs: waitMs })) as never,
    close() {
      return new Promise((resolve) => {
        if (socket.readyState === WebSocket.CLOSED) return resolve()
        socket.addEventListener('close', () => resolve())
        socket.close()
      })
    },
  }
}

/** A page cannot send headers with a handshake: it shows its key in the first message. */
const isBrowser = typeof (globalThis as { document?: unknown }).document !== 'undefined'

function open(url: string, apiKey: string | undefined): WebSocket {
  if (apiKey === undefined || isBrowser) return new WebSocket(url, 'freshet.v1+json')
  const options = { protocols: ['freshet.v1+json'], headers: { authorization: `Bearer ${apiKey}` } }
  return new WebSocket(url, options as unknown as string[])
}

const unreachable = (url: string): FreshetError =>
  new FreshetError('unreachable', `nothing answers at ${url}; start the platform with npm start`, true)

const closed = (code: number, reason: string): FreshetError =>
  code === 4401 || code === 4403
    ? new FreshetError('unauthenticated', `the credential is not good: ${reason}`)
    : new FreshetError('closed', `the connection was closed (${code}${reason ? `: ${reason}` : ''})`, true)

/** A WebSocket does not say why it was refused; the same address asked plainly does. */
async function whyNot(url: string, apiKey: string | undefined): Promise<FreshetError> {
  try {
    const answer = await fetch(url.replace(/^ws/, 'http'), {
      headers: apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` },
    })
    const { code, detail } = (await answer.json()) as { code?: string; detail?: string }
    if (answer.status === 426 || code === undefined) return unreachable(url)
    return new FreshetError(code, detail ?? code, answer.status === 429 || answer.status >= 500)
  } catch {
    return unreachable(url)
  }
}
