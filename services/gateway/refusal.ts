import type { FastifyError } from 'fastify'
import type { Route } from './routes.ts'

/** Why a request goes no further. `code` is for programs, `detail` for people. */
export class Refusal extends Error {
  override name = 'Refusal'
  readonly status: number
  readonly code: string
  readonly headers: Readonly<Record<string, string>>
  constructor(status: number, code: string, detail: string, headers: Readonly<Record<string, string>> = {}) {
    super(detail)
    this.status = status
    this.code = code
    this.headers = headers
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

/** RFC 9457 problem details; for OpenAI's routes its own shape. */
export function answerOf(
  { status, code, message, headers }: Refusal,
  errors: Route['errors'],
  requestId: string,
): Answer {
  const problem = { type: 'about:blank', title: TITLES[status] ?? 'Error', status, code, detail: message, requestId }
  const openai = {
    error: { message, type: status < 500 ? 'invalid_request_error' : 'server_error', param: null, code },
  }
  return {
    status,
    headers: {
      'content-type': errors === 'openai' ? 'application/json' : 'application/problem+json',
      'cache-control': 'no-store',
      'x-request-id': requestId,
      ...headers,
    },
    body: `${JSON.stringify(errors === 'openai' ? openai : problem)}\n`,
  }
}

export function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error
  const { statusCode, code, message } = error as FastifyError
  if (statusCode === 413) return new Refusal(413, 'too_large', 'the body is larger than FRESHET_BODY_BYTES_MAX')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Refusal(statusCode, 'bad_request', code === 'FST_ERR_BAD_URL' ? 'the address is malformed' : message)
  return new Refusal(500, 'internal', 'the gateway failed; its log says why')
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  426: 'Upgrade Required',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
}
