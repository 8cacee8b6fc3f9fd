/** Why a call failed. `code` is the protocol's (docs/protocol.md), or one of the SDK's own:
 *
 * - `unreachable`: nothing answers there, or has not for longer than the call may wait
 * - `unconfirmed`: the connection broke before a publish was confirmed; it may have been written or not
 * - `closed`: the client, or its one connection, is closed
 */
export class FreshetError extends Error {
  override name = 'FreshetError'
  readonly code: string
  /** The same call may succeed later. */
  readonly retryable: boolean
  /** When the server wants to be asked again; undefined: it did not say. */
  readonly retryAfterMs: number | undefined
  /** Of a publish that failed after it was accepted: what stands for it. */
  readonly token: string | undefined

  constructor(code: string, message: string, retryable = false, retryAfterMs?: number, token?: string) {
    super(message)
    this.code = code
    this.retryable = retryable
    this.retryAfterMs = retryAfterMs
    this.token = token
  }
}

export const unreachable = (url: string): FreshetError =>
  new FreshetError('unreachable', `nothing answers at ${url}`, true)

/** Why a connection was closed. One that is not retryable ends the client. */
export function closed(code: number, reason: string): FreshetError {
  const why = reason === '' ? '' : `: ${reason}`
  if (code === 4401 || code === 4403) return new FreshetError('unauthenticated', `the credential is not good${why}`)
  if (code === 4400 || code === 4406)
    return new FreshetError(
      'bad_request',
      `the server does not understand this SDK (${code}${why}); bring both to one version`,
    )
  return new FreshetError('closed', `the connection was closed (${code}${why})`, true)
}

/** What an `error` message says. */
export function errorIn(message: Readonly<Record<string, unknown>>, token?: string): FreshetError {
  const { code, message: text, retryable, retryAfterMs } = message
  return new FreshetError(
    typeof code === 'string' ? code : 'internal',
    typeof text === 'string' ? text : 'the server gave no reason',
    retryable === true,
    typeof retryAfterMs === 'number' ? retryAfterMs : undefined,
    token,
  )
}
