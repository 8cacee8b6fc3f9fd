import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { Agent, type Dispatcher, request } from 'undici'
import { reasonOf } from '../../streams/errors.ts'
import { faultOfHost, publicLookup } from './addresses.ts'

/** What an answer said of itself, to be sent with the next question: then only what is new is answered. */
export interface Validators {
  readonly etag: string | null
  readonly lastModified: string | null
}

export type Answer =
  | {
      readonly is: 'new'
      readonly body: Buffer
      readonly contentType: string
      /** Where it was found in the end. */
      readonly url: string
      readonly validators: Validators
    }
  | { readonly is: 'unchanged' }
  /** 410: it will not come back. */
  | { readonly is: 'gone' }
  /** `retryAfterMs`: the server wants not to be asked before. */
  | { readonly is: 'failed'; readonly reason: string; readonly retryAfterMs: number | null }

export interface Web {
  /** Never throws for what the other side does. */
  ask(url: string, known: Validators | null): Promise<Answer>
  close(): Promise<void>
}

export interface WebOptions {
  /** Addresses of the own machine and network, too. */
  readonly allowPrivate?: boolean | undefined
  readonly now?: () => number
  readonly bodyBytesMax?: number
  readonly wholeMsMax?: number
}

const BODY_BYTES_MAX = 8 * 1024 * 1024
const WHOLE_MS_MAX = 60_000
const SILENT_MS_MAX = 15_000
const REDIRECTS_MAX = 5
/** What a server may ask us to wait. */
const RETRY_AFTER_MS_MAX = 24 * 3_600_000

/** Asks servers that nobody knows: each answer, each redirect and each wait is bounded, and private addresses are refused. */
export function openWeb({
  allowPrivate = false,
  now = Date.now,
  bodyBytesMax = BODY_BYTES_MAX,
  wholeMsMax = WHOLE_MS_MAX,
}: WebOptions = {}): Web {
  const agent = new Agent({
    connections: 2,
    connect: { timeout: SILENT_MS_MAX, ...(!allowPrivate && { lookup: publicLookup }) },
    headersTimeout: SILENT_MS_MAX,
    bodyTimeout: SILENT_MS_MAX,
    maxHeaderSize: 16 * 1024,
  })

  const follow = async (given: string, known: Validators | null): Promise<Answer> => {
    const signal = AbortSignal.timeout(wholeMsMax)
    let url = new URL(given)
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const fault = faultOf(url, allowPrivate)
      if (fault !== null) return failed(fault)
      const response = await request(url, { dispatcher: agent, signal, headers: headersFor(known) })
      const { statusCode, headers, body } = response
      const to = headerOf(headers, 'location')
      if (isRedirect.has(statusCode) && to !== null) {
        await body.dump({ limit: 64 * 1024, signal })
        const next = new URL(to, url)
        if (url.protocol === 'https:' && next.protocol === 'http:')
          return failed(`redirects from https to ${next.href.slice(0, 200)}; give an address that stays encrypted`)
        url = next
        continue
      }
      if (statusCode === 200) return taken(response, url, bodyBytesMax)
      await body.dump({ limit: 64 * 1024, signal })
      if (statusCode === 304) return { is: 'unchanged' }
      if (statusCode === 410) return { is: 'gone' }
      const retryAfterMs = retryAfter(headerOf(headers, 'retry-after'), now())
      const fix = retryAfterMs === null ? 'check the address' : `come back in ${Math.ceil(retryAfterMs / 1_000)} s`
      return { ...failed(`answers ${statusCode}; ${fix}`), retryAfterMs }
    }
    return failed(`redirects more than ${REDIRECTS_MAX} times; check the address`)
  }
  return {
    ask: (url, known) => follow(url, known).catch((error) => failed(`cannot be reached (${reasonOf(error)})`)),
    close: () => agent.destroy(),
  }
}

const isRedirect = new Set([301, 302, 303, 307, 308])

const failed = (reason: string) => ({ is: 'failed', reason, retryAfterMs: null }) as const

function faultOf(url: URL, allowPrivate: boolean): string | null {
  if (!/^https?:$/.test(url.protocol)) return `has the scheme ${url.protocol}; give http or https`
  return allowPrivate ? null : faultOfHost(url)
}

const headersFor = (known: Validators | null): Record<string, string> => ({
  'user-agent': 'freshet/0.1',
  accept: '*/*',
  'accept-encoding': 'gzip, identity',
  ...(known?.etag && { 'if-none-match': known.etag }),
  ...(known?.lastModified && { 'if-modified-since': known.lastModified }),
})

async function taken({ headers, body }: Dispatcher.ResponseData, url: URL, bytesMax: number): Promise<Answer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > bytesMax) {
      body.destroy()
      return failed(tooLarge(bytesMax))
    }
    chunks.push(chunk)
  }
  const encoding = headerOf(headers, 'content-encoding') ?? 'identity'
  if (!/^(identity|(x-)?gzip)$/i.test(encoding)) return failed(`is encoded as ${encoding}, which nobody asked for`)
  const bytes = await unpacked(Buffer.concat(chunks), encoding, bytesMax)
  if (bytes === null) return failed(tooLarge(bytesMax))
  return {
    is: 'new',
    body: bytes,
    contentType: headerOf(headers, 'content-type') ?? '',
    url: url.href,
    validators: { etag: headerOf(headers, 'etag'), lastModified: headerOf(headers, 'last-modified') },
  }
}

const tooLarge = (bytesMax: number): string => `has more than ${bytesMax} bytes; ask for less of it`

/** null: it is larger than it may be, and was not unpacked further. */
async function unpacked(bytes: Buffer, encoding: string, bytesMax: number): Promise<Buffer | null> {
  if (!/gzip/i.test(encoding)) return bytes
  try {
    return await promisify(gunzip)(bytes, { maxOutputLength: bytesMax })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') return null
    throw error
  }
}

function headerOf(headers: Dispatcher.ResponseData['headers'], name: string): string | null {
  const value = headers[name]
  return (Array.isArray(value) ? value[0] : value) ?? null
}

/** Seconds, or a date (RFC 9110, 10.2.3). */
export function retryAfter(value: string | null, now: number): number | null {
  if (value === null) return null
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1_000 : Date.parse(value) - now
  return Number.isNaN(ms) ? null : Math.min(Math.max(ms, 0), RETRY_AFTER_MS_MAX)
}

/** The text of an answer, in the character set that it names. */
export function textOf(body: Buffer, contentType: string): string {
  const declared =
    /charset="?([\w-]+)/i.exec(contentType)?.[1] ??
    /^\s*<\?xml[^>]*encoding=["']([\w-]+)/.exec(body.subarray(0, 200).toString('latin1'))?.[1] ??
    /<meta[^>]*charset=["']?([\w-]+)/i.exec(body.subarray(0, 2_048).toString('latin1'))?.[1]
  try {
    return new TextDecoder(declared ?? 'utf-8').decode(body)
  } catch {
    return new TextDecoder().decode(body)
  }
}
