import type { ServerResponse } from 'node:http'
import type { ErrorCode, OperationError } from './protocol.ts'

type Headers = Readonly<Record<string, string>>

interface Tokened {
  readonly token?: string
  readonly asOf?: { readonly token: string }
}

/** Answers with JSON, and with the token that it has, if any, in a header too. */
export function tell(response: ServerResponse, status: number, body: object, headers: Headers = {}): void {
  const { token: own, asOf } = body as Tokened
  const token = own ?? asOf?.token
  const type = status >= 400 ? 'application/problem+json' : 'application/json'
  response
    .writeHead(status, { 'content-type': type, ...(token !== undefined && { 'x-freshet-token': token }), ...headers })
    .end(`${JSON.stringify(body)}\n`)
}

/** RFC 9457. */
export function problemOf({ code, message: detail, retryAfterMs, retryable, rate }: OperationError) {
  const again: Headers = retryAfterMs === undefined ? {} : { 'retry-after': String(Math.ceil(retryAfterMs / 1_000)) }
  const status = statuses[code]
  return { status, headers: { ...rate, ...again }, body: { type: 'about:blank', status, code, detail, retryable } }
}

export const statuses: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  position_expired: 410,
  rejected: 422,
  unsupported: 422,
  rate_limited: 429,
  cancelled: 499,
  internal: 500,
  unavailable: 503,
  too_stale: 503,
  timeout: 504,
}
