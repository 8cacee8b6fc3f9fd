import { closed, FreshetError, unreachable } from './error.ts'
import { type Message, messageIn } from './protocol.ts'
import { type Surroundings, shownInHeaders } from './surroundings.ts'

export interface Opening {
  readonly url: string
  /** An API key or a JWT; null: none is needed. */
  readonly credential: string | null
  readonly timeoutMs: number
}

export interface Listener {
  message(message: Message): void
  /** Called once, whether it was ever open or not; afterwards nothing else is. */
  ended(error: FreshetError): void
}

export interface OpenSocket {
  send(message: object): void
  /** `ended` is called with the answer to it, or in a moment without one. */
  close(): void
  /** It is dead: nobody is waited for. */
  drop(error: FreshetError): void
}

const SUBPROTOCOL = 'freshet.v1+json'

/** One WebSocket. The first message is `ready`; an end without one says why, as far as can be found out. */
export function openSocket(
  { url, credential, timeoutMs }: Opening,
  around: Surroundings,
  listener: Listener,
): OpenSocket {
  let state: 'opening' | 'greeting' | 'ready' | 'over' = 'opening'
  let closing: ReturnType<typeof setTimeout> | undefined
  const socket = make(url, credential, around)
  const over = (): boolean => {
    if (state === 'over') return false
    state = 'over'
    clearTimeout(late)
    clearTimeout(closing)
    return true
  }
  const end = (error: FreshetError): void => {
    if (!over()) return
    quietly(() => socket.close())
    listener.ended(error)
  }
  const refused = (): void => {
    if (!over()) return
    void whyNot(url, credential, around).then(listener.ended)
  }
  const late = setTimeout(() => end(unreachable(url)), timeoutMs)

  socket.addEventListener('open', () => {
    if (state !== 'opening') return
    state = 'greeting'
    if (credential !== null && !around.setsHeaders) socket.send(JSON.stringify({ type: 'init', token: credential }))
  })
  socket.addEventListener('message', ({ data }) => {
    if (state === 'over') return
    const message = messageIn(data)
    if (message === null) return end(new FreshetError('closed', 'the server sent what is no message', true))
    if (message.type === 'ready') {
      clearTimeout(late)
      state = 'ready'
    }
    listener.message(message)
  })
  socket.addEventListener('error', () => {
    // Not every WebSocket tells of the end of one that never was.
    if (state === 'opening') refused()
  })
  socket.addEventListener('close', ({ code, reason }) => {
    if (state === 'opening' && code === 1006) refused()
    else end(closed(code, reason))
  })
  return {
    send(message) {
      if (state !== 'over') quietly(() => socket.send(JSON.stringify(message)))
    },
    close() {
      closing ??= setTimeout(() => end(closed(1006, '')), CLOSE_MS)
      quietly(() => socket.close(1000))
    },
    drop: end,
  }
}

/** For the server to answer that it is closed. */
const CLOSE_MS = 1_000

/** A socket that is closing may throw; that it ends is told anyway. */
function quietly(work: () => void): void {
  try {
    work()
  } catch {}
}

function make(url: string, credential: string | null, { WebSocket, setsHeaders, isInjected }: Surroundings) {
  if (WebSocket === undefined)
    throw new FreshetError(
      'unsupported',
      "this runtime has no WebSocket: pass one, connect(url, { WebSocket }) with import { WebSocket } from 'ws', or use Node 22 or later",
    )
  try {
    if (credential === null || !setsHeaders) return new WebSocket(url, [SUBPROTOCOL])
    const headers = shownInHeaders(credential)
    // The built-in one takes them with the protocols, `ws` as a third argument.
    return isInjected
      ? new WebSocket(url, [SUBPROTOCOL], { headers })
      : new WebSocket(url, { protocols: [SUBPROTOCOL], headers } as never)
  } catch (error) {
    throw new FreshetError('bad_request', `url: ${url} cannot be connected to: ${(error as Error).message}`)
  }
}

/** A WebSocket does not say why it was refused; the same address asked plainly does. */
async function whyNot(url: string, credential: string | null, { fetch }: Surroundings): Promise<FreshetError> {
  try {
    const answer = await fetch(url.replace(/^ws/, 'http'), {
      headers: credential === null ? {} : shownInHeaders(credential),
      signal: AbortSignal.timeout(WHY_NOT_MS),
    })
    const { code, detail } = (await answer.json()) as { code?: string; detail?: string }
    if (answer.status === 426 || code === undefined) return unreachable(url)
    const seconds = Number(answer.headers.get('retry-after') ?? 'none')
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1_000 : undefined
    return new FreshetError(code, detail ?? code, answer.status === 429 || answer.status >= 500, retryAfterMs)
  } catch {
    return unreachable(url)
  }
}

const WHY_NOT_MS = 3_000
