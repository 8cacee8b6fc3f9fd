/** Why a request gets no answer. `code` is for programs, the message for people. */
export class Refused extends Error {
  override name = 'Refused'
  readonly status: number
  readonly code: RefusalCode
  readonly retryAfterMs: number | undefined
  /** The field that it is about. */
  readonly param: string | null
  constructor(code: RefusalCode, message: string, { retryAfterMs, param = null, cause }: Details = {}) {
    super(message, { cause })
    this.status = statuses[code]
    this.code = code
    this.retryAfterMs = retryAfterMs
    this.param = param
  }
}

interface Details {
  readonly retryAfterMs?: number
  readonly param?: string | null
  readonly cause?: unknown
}

const statuses = {
  bad_request: 400,
  unauthenticated: 401,
  forbidden: 403,
  not_found: 404,
  conflict: 409,
  too_large: 413,
  rate_limited: 429,
  overloaded: 429,
  cancelled: 499,
  internal: 500,
  unsupported: 501,
  unavailable: 503,
  deadline: 504,
} as const
export type RefusalCode = keyof typeof statuses
