import { open, rename, rm, stat } from 'node:fs/promises'
import { setTimeout as delay } from 'node:timers/promises'
import { sha256Of } from './model-files.ts'

export interface DownloadOptions {
  readonly url: string
  readonly sha256: string
  /** Where the file is to be; what has come so far lies beside it, as `<to>.part`. */
  readonly to: string
  readonly signal: AbortSignal
  /** Told what has come of how much; null where the server does not say. */
  progress(bytes: number, of: number | null): void
  readonly attemptsMax?: number
  readonly retryDelayMs?: number
  /** Nothing for so long is a connection that broke. */
  readonly idleMsMax?: number
  readonly bytesMax?: number
}

/**
 * Downloads a file, and goes on where an attempt broke off, also one of an earlier process. What has come and is not the file is thrown
 * away; rejects if it never is. What has come is kept when the network gives up.
 */
export async function download(options: DownloadOptions): Promise<void> {
  const { url, sha256, to, signal, attemptsMax = 5, retryDelayMs = 500 } = options
  const part = `${to}.part`
  let found = ''
  for (let attempt = 1; ; attempt++) {
    const before = await sizeOf(part)
    try {
      await fetchInto(part, before, options)
    } catch (cause) {
      const isFinal = cause instanceof Refused || signal.aborted || attempt >= attemptsMax
      if (!isFinal) {
        // What brought something is not at its end.
        if ((await sizeOf(part)) > before) attempt = 0
        await delay(retryDelayMs, undefined, { signal })
        continue
      }
      const kept = await sizeOf(part)
      const rest = kept > 0 ? `; ${kept} bytes are kept, and the same command goes on from there` : ''
      throw new Error(`${url} could not be downloaded${rest}`, { cause })
    }
    found = await sha256Of(part)
    if (found === sha256) return rename(part, to)
    await rm(part)
    // What was put together from two attempts may be of two versions of the file; what came in one piece is what the server has.
    if (before === 0) throw new Error(`${url} has the sha256 ${found}; it must be ${sha256}`)
  }
}

/** What another attempt does not change. */
class Refused extends Error {
  override name = 'Refused'
}

async function fetchInto(part: string, have: number, options: DownloadOptions): Promise<void> {
  const { url, signal, progress, idleMsMax = 30_000, bytesMax = BYTES_MAX } = options
  const idle = new AbortController()
  const isIdle = () => idle.abort(new Error(`nothing came for ${idleMsMax} ms`))
  let timer = setTimeout(isIdle, idleMsMax)
  try {
    const response = await fetch(url, {
      // A compressed answer has no ranges of the file.
      headers: { 'accept-encoding': 'identity', ...(have > 0 && { range: `bytes=${have}-` }) },
      signal: AbortSignal.any([signal, idle.signal]),
    })
    const { status, body } = response
    // There is nothing after what we have: it is whole, or not this file, as its hash will say.
    if (status === 416 && have > 0) return void (await body?.cancel())
    if (status !== 200 && status !== 206) {
      await body?.cancel()
      const says = `the server answers ${status}`
      throw status < 500 && status !== 408 && status !== 429 ? new Refused(says) : new Error(says)
    }
    // A server without ranges sends it from the beginning.
    let bytes = status === 206 ? startOf(response, have) : 0
    const length = response.headers.get('content-length')
    const of = length === null ? null : bytes + Number(length)
    if (body === null) throw new Error('the answer has no body')
    await using file = await open(part, status === 206 ? 'a' : 'w')
    for await (const chunk of body) {
      clearTimeout(timer)
      timer = setTimeout(isIdle, idleMsMax)
      bytes += chunk.length
      if (bytes > bytesMax) throw new Refused(`it is larger than ${bytesMax} bytes`)
      // Not through a stream, which forgets what it holds when the other end fails.
      await file.write(chunk)
      progress(bytes, of)
    }
    if (of !== null && bytes < of) throw new Error(`${bytes} of ${of} bytes came`)
  } finally {
    clearTimeout(timer)
  }
}

function startOf({ headers }: Response, have: number): number {
  const range = headers.get('content-range') ?? ''
  if (Number(/^bytes (\d+)-/.exec(range)?.[1]) === have) return have
  throw new Refused(`the server was asked for what follows byte ${have}, and sends ${range || 'another part'}`)
}

const sizeOf = async (path: string): Promise<number> =>
  stat(path).then(
    ({ size }) => size,
    () => 0,
  )

const BYTES_MAX = 16 * 1024 ** 3
