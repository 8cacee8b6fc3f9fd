/** What of a WebSocket is used: that of browsers, of Node 22 and of `ws` are such. */
export interface Socket {
  send(text: string): void
  close(code?: number, reason?: string): void
  addEventListener(type: 'open' | 'error', listener: () => void): void
  addEventListener(type: 'message', listener: (event: { readonly data: unknown }) => void): void
  addEventListener(type: 'close', listener: (event: { readonly code: number; readonly reason: string }) => void): void
}

/** Headers are given as `ws` takes them. */
export type SocketClass = new (
  url: string,
  protocols?: string[],
  options?: { headers: Record<string, string> },
) => Socket

/** What is not ours: the clock, chance, the network. */
export interface Surroundings {
  readonly WebSocket: SocketClass | undefined
  readonly isInjected: boolean
  /** A page cannot: it shows its credential in the first message. */
  readonly setsHeaders: boolean
  readonly fetch: typeof fetch
  readonly now: () => number
  readonly random: () => number
}

export function ownSurroundings(injected: SocketClass | undefined): Surroundings {
  const { document, WorkerGlobalScope, Deno, WebSocket } = globalThis as Globals
  return {
    WebSocket: injected ?? WebSocket,
    isInjected: injected !== undefined,
    setsHeaders: document === undefined && (WorkerGlobalScope === undefined || Deno !== undefined),
    fetch: globalThis.fetch,
    now: Date.now,
    random: Math.random,
  }
}

interface Globals {
  readonly document?: unknown
  readonly WorkerGlobalScope?: unknown
  readonly Deno?: unknown
  readonly WebSocket?: SocketClass
}

export const shownInHeaders = (credential: string) => ({ authorization: `Bearer ${credential}` })
