import { Agent, request } from 'undici'
import type { Answer } from './transport.ts'

export interface HttpOptions {
  readonly url: string
  /** Sent as a bearer token. Asked for at each request, so it may change; null: none. */
  readonly apiKey?: () => string | null
  /** The certificates that the service's is signed by, PEM. */
  readonly ca?: string
}

/** Requests with JSON in them to one service. */
export interface Http {
  /** A body that was answered with 2xx, or what the service said instead. Rejects only where the signal is aborted. */
  post(path: string, body: object, signal: AbortSignal): Promise<Replied | Exclude<Answer, { is: 'vectors' }>>
  get(path: string, signal: AbortSignal): Promise<Replied | Exclude<Answer, { is: 'vectors' }>>
  close(): Promise<void>
}

export interface Replied {
  readonly is: 'replied'
  readonly json: unknown
}

export function http({ url, apiKey = () => null, ca }: HttpOptions): Http {
  // Who waits for an answer, and how long, is said by the signal of each request.
  const agent = new Agent({ headersTimeout: 0, bodyTimeout: 0, ...(ca !== undefined && { connect: { ca } }) })
  const base = url.replace(/\/+$/, '')
  const ask = async (method: 'GET' | 'POST', path: string, body: object | null, signal: AbortSignal) => {
    const key = apiKey()
    const words = (text: string) => wordsOf(text, key)
    try {
      const {
        statusCode,
        headers,
        body: stream,
      } = await request(`${base}${path}`, {
        dispatcher: agent,
        method,
        signal,
        headers: {
          accept: 'application/json',
          ...(body !== null && { 'content-type': 'application/json' }),
          ...(key !== null && { authorization: `Bearer ${key}` }),
        },
        body: body === null ? null : JSON.stringify(body),
      })
      const text = await bounded(stream)
      if (text === null) return { is: 'wrong', words: `an answer of more than ${ANSWER_BYTES_MAX} bytes` } as const
      if (statusCode >= 200 && statusCode < 300) {
        const json = parsed(text)
        if (json === undefined) return { is: 'wrong', words: `an answer that is no JSON: ${words(text)}` } as const
        return { is: 'replied', json } as const
      }
      return answerOf(statusCode, headers, words(said(text)), Date.now())
    } catch (cause) {
      if (signal.aborted) throw signal.reason
      return { is: 'down', words: words(chain(cause)), retryAfterMs: null, answered: false } as const
    }
  }
  return {
    post: (path, body, signal) => ask('POST', path, body, signal),
    get: (path, signal) => ask('GET', path, null, signal),
    close: () => agent.destroy(),
  }
}

/** What a status means. Pure. */
export function answerOf(
  status: number,
  headers: Readonly<Record<string, string | string[] | undefined>>,
  said: string,
  now: number,
): Exclude<Answer, { is: 'vectors' }> {
  const words = said === '' ? `status ${status}` : `status ${status}: ${said}`
  const retryAfterMs = retryAfterOf(headers, now)
  if (status === 429) return { is: 'busy', words, retryAfterMs }
  if (REFUSALS.includes(status)) return { is: 'refused', words }
  // 502 to 504 are said by what stands before the service too, while another one is put in its place.
  if (status !== 501 && (status >= 500 || TROUBLES.includes(status)))
    return { is: 'down', words, retryAfterMs, answered: ![502, 503, 504].includes(status) }
  return { is: 'barred', words }
}

const REFUSALS = [400, 413, 422]
/** 424 is TEI's word for a model that failed. */
const TROUBLES = [408, 409, 424, 425]

/** Seconds or a date, as in RFC 9110; some say it in ms too. */
function retryAfterOf(headers: Readonly<Record<string, string | string[] | undefined>>, now: number): number | null {
  const [ms, after] = [headers['retry-after-ms'], headers['retry-after']].map((each) => [each].flat()[0])
  if (ms !== undefined && Number.isFinite(Number(ms))) return Math.max(0, Number(ms))
  if (after === undefined) return null
  const seconds = Number(after)
  if (Number.isFinite(seconds)) return Math.max(0, seconds * 1_000)
  const date = Date.parse(after)
  return Number.isNaN(date) ? null : Math.max(0, date - now)
}

/** The message inside an error as OpenAI, TEI, and problem+json have it; else all of it. */
function said(text: string): string {
  const json = parsed(text) as { error?: unknown; message?: unknown; detail?: unknown } | null | undefined
  if (typeof json !== 'object' || json === null) return text
  const error = json.error as { message?: unknown } | string | undefined
  const found = typeof error === 'object' && error !== null ? error.message : (error ?? json.message ?? json.detail)
  return typeof found === 'string' ? found : text
}

/** A service may be so careless as to repeat what it was shown. */
export const wordsOf = (text: string, key: string | null): string =>
  (key === null ? text : text.replaceAll(key, '[secret]')).replace(/\s+/g, ' ').trim().slice(0, WORDS_CHARS_MAX)

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** undici wraps what the socket says. */
const chain = (error: unknown): string =>
  error instanceof Error
    ? error.cause === undefined
      ? error.message
      : `${error.message}: ${chain(error.cause)}`
    : String(error)

async function bounded(stream: AsyncIterable<Buffer>): Promise<string | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of stream) {
    bytes += chunk.length
    if (bytes > ANSWER_BYTES_MAX) return null
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

/** 2,048 vectors of 3,072 numbers in decimal are about this. */
const ANSWER_BYTES_MAX = 128 * 1024 * 1024
const WORDS_CHARS_MAX = 300
