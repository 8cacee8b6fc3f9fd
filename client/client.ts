import { FreshetError } from './error.ts'
import { Followings } from './followings.ts'
import { Link } from './link.ts'
import { Operations } from './operations.ts'
import type {
  AsOf,
  DocumentOutcome,
  PublishAnswer,
  PublishItem,
  SearchAnswer,
  SearchRequest,
  SubscribeRequest,
  WaitAnswer,
} from './protocol.ts'
import type { StandingState } from './standing.ts'
import { ownSurroundings, type SocketClass, type Surroundings } from './surroundings.ts'
import { mergeTokens } from './tokens.ts'

export { applyChanges, type HitChange } from './apply-changes.ts'
export { FreshetError } from './error.ts'
export type * from './protocol.ts'
export type { StandingState } from './standing.ts'
export type { SocketClass } from './surroundings.ts'

/**
 * The SDK: search, publish, wait and standing queries over one WebSocket that comes back when it breaks. Every call resolves with the
 * answer, or rejects with a `FreshetError` or the reason of its aborted signal.
 */
export interface Client {
  /** How far the index was when the connection was made. */
  readonly token: string
  readonly limits: Readonly<Record<string, number>>
  search(request: SearchRequest, options?: CallOptions): Promise<SearchAnswer>
  /**
   * Resolves with a token once Kafka has the documents; with `ack: 'indexed'`, once they can be found. Never sent twice: when the
   * connection breaks before the answer, it rejects with `unconfirmed`.
   */
  publish(documents: readonly PublishItem[], options?: PublishOptions): Promise<PublishAnswer>
  /** Resolves when the index has everything that the token stands for; rejects with `timeout` after `timeoutMs`, 5 s by default. */
  wait(after: string, options?: CallOptions & { readonly timeoutMs?: number }): Promise<WaitAnswer>
  /**
   * A search whose answer is kept up to date, over reconnections too. Each state is the newest one: who reads slowly gets fewer. The
   * loop ends when it is left, when the signal is aborted and when the client is closed; it throws what can never succeed.
   */
  subscribe(request: SubscribeRequest, options?: CallOptions): AsyncIterableIterator<StandingState>
  /** What is under way rejects with `closed`. */
  close(): Promise<void>
}

export interface CallOptions {
  /** The server is told too. Of an aborted publish it is not known whether it was written. */
  readonly signal?: AbortSignal
}

export interface PublishOptions extends CallOptions {
  readonly ack?: 'accepted' | 'indexed'
  readonly timeoutMs?: number
}

export interface ConnectOptions extends CallOptions {
  /** An API key or a JWT that outlives the client. */
  readonly apiKey?: string
  /** Gives a JWT, or an API key: asked before each connection, and before the JWT expires. */
  readonly token?: () => string | Promise<string>
  /** Where the runtime has none, as Node before 22: that of `ws`. */
  readonly WebSocket?: SocketClass
  /** Every search that demands nothing else waits for what this client has published. */
  readonly readYourWrites?: boolean
  /** For one connection to be made; 5 s by default. */
  readonly timeoutMs?: number
  /** How long a call waits while there is no connection; 30 s by default. */
  readonly offlineMsMax?: number
  /** `false`: the client ends with its first connection. */
  readonly reconnect?: boolean
}

/** Resolves when the server is ready. Rejects if the first connection cannot be made: only later ones are tried again. */
export function connect(url: string, options: ConnectOptions = {}): Promise<Client> {
  return connectIn(ownSurroundings(options.WebSocket), url, options)
}

export function connectIn(around: Surroundings, url: string, options: ConnectOptions): Promise<Client> {
  const { apiKey, token, signal, timeoutMs = 5_000, offlineMsMax = 30_000, reconnect = true } = options
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    let count = 0
    let closing = false
    const nextId = () => String(++count)
    const credential = async () => (token === undefined ? (apiKey ?? null) : await token())
    const link = new Link({ url, credential, renewable: token !== undefined, timeoutMs, reconnect }, around, {
      up() {
        signal?.removeEventListener('abort', aborted)
        operations.up()
        followings.up()
        resolve(client)
      },
      message(message) {
        if (!operations.take(message)) followings.take(message)
        leaveIfIdle()
      },
      leaving: () => leaveIfIdle(),
      down(error) {
        operations.down(error)
        followings.down(error)
      },
      ended(error) {
        operations.ended(error)
        followings.ended(error, closing)
        reject(error)
      },
    })
    /** The server goes away: what it has under way is answered first. */
    const leaveIfIdle = (): void => {
      if (link.leaves && !operations.busy) link.leave()
    }
    const operations = new Operations(link, { url, nextId, now: around.now, offlineMsMax })
    const followings = new Followings(link, { nextId, random: around.random })
    const close = (): Promise<void> => {
      closing = true
      return link.close()
    }
    const aborted = (): void => {
      reject(signal?.reason)
      void close()
    }
    signal?.addEventListener('abort', aborted, { once: true })
    const client = clientOf(link, operations, followings, close, options.readYourWrites === true)
    link.start()
  })
}

function clientOf(
  link: Link,
  operations: Operations,
  followings: Followings,
  close: () => Promise<void>,
  readsOwnWrites: boolean,
): Client {
  /** What stands for everything that was published here. */
  let mine: string | null = null

  return {
    get token() {
      return String(link.ready?.token)
    },
    get limits() {
      return (link.ready?.limits ?? {}) as Readonly<Record<string, number>>
    },
    async search({ freshness, ...wish }, { signal } = {}) {
      const demand = demandOf(freshness ?? (readsOwnWrites ? { after: 'mine' } : undefined), mine)
      try {
        const answer = await operations.ask(
          { type: 'search', ...wish, ...(demand && { freshness: demand }) },
          { signal },
        )
        if (!Array.isArray(answer.hits)) throw new FreshetError('internal', 'the server answered a search without hits')
        return answer as unknown as SearchAnswer
      } catch (error) {
        // What was published in an epoch that is over cannot be waited for: it is said once.
        if (isExpired(error) && typeof demand === 'object' && 'after' in demand && demand.after === mine) mine = null
        throw error
      }
    },
    async publish(documents, { signal, ack, timeoutMs } = {}) {
      const {
        token,
        documents: outcomes,
        notices,
      } = await operations.ask(
        { type: 'publish', documents, ...(ack && { ack }), ...(timeoutMs !== undefined && { timeoutMs }) },
        {
          signal,
          accepted(own) {
            mine = mergeTokens(mine, own)
          },
        },
      )
      return {
        token: String(token),
        documents: (outcomes ?? []) as DocumentOutcome[],
        notices: (notices ?? []) as string[],
      }
    },
    async wait(after, { signal, timeoutMs = 5_000 } = {}) {
      const { documents, asOf } = await operations.ask({ type: 'wait', after, timeoutMs }, { signal })
      return { documents: (documents ?? []) as DocumentOutcome[], asOf: asOf as AsOf }
    },
    subscribe: (request, { signal } = {}) => followings.follow(request, signal),
    close,
  }
}

const isExpired = (error: unknown): boolean => error instanceof FreshetError && error.code === 'position_expired'

/** `mine` in the words of the protocol; undefined: nothing is demanded. */
function demandOf(freshness: SearchRequest['freshness'], mine: string | null): SearchRequest['freshness'] {
  if (typeof freshness !== 'object' || !('after' in freshness) || freshness.after !== 'mine') return freshness
  return mine === null ? undefined : { ...freshness, after: mine }
}
