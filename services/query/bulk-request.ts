import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Principal } from '../principal.ts'
import { type BulkPorts, publishBulk } from './bulk.ts'
import { linesOf } from './bulk-lines.ts'
import { problemOf, tell } from './http-answer.ts'
import { wishIn } from './http-message.ts'
import { type ErrorCode, OperationError } from './protocol.ts'

interface Asked {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly principal: Principal
  readonly ports: BulkPorts
  readonly signal: AbortSignal
}

/** How many bulks are under way: each holds one batch, and one line that may be a whole document. */
export class BulkRoom {
  readonly #open = new Map<string, number>()

  /** Answers what to call when it is over. */
  enter(tenant: string): () => void {
    const own = this.#open.get(tenant) ?? 0
    const all = [...this.#open.values()].reduce((sum, each) => sum + each, 0)
    const full = own >= BULKS_OF_TENANT_MAX ? `${own} of the tenant` : all >= BULKS_MAX ? `${all}` : null
    if (full !== null)
      throw new OperationError('rate_limited', `${full} bulks are under way; come back when one has ended`, {
        retryAfterMs: 1_000,
      })
    this.#open.set(tenant, own + 1)
    return () => {
      const left = this.#open.get(tenant)! - 1
      if (left > 0) this.#open.set(tenant, left)
      else this.#open.delete(tenant)
    }
  }
}

/** `POST /v1/documents/bulk`. Where it stops in the middle, the problem says too what became of the lines before. */
export async function answerBulk(asked: Asked, room: BulkRoom): Promise<ErrorCode | 'ok'> {
  const { request, response, principal, ports, signal } = asked
  try {
    checkType(request)
    const wish = wishIn(request)
    const leave = room.enter(principal.tenant)
    try {
      const { report, stopped } = await publishBulk(linesOf(bodyOf(request)), wish, principal, ports, signal)
      if (signal.aborted) return 'cancelled'
      if (stopped === null) tell(response, 200, report)
      else {
        const { status, headers, body } = problemOf(stopped)
        tell(response, status, { ...body, ...report }, headers)
      }
      return stopped?.code ?? 'ok'
    } finally {
      leave()
    }
  } finally {
    throwAwayRest(request)
  }
}

/** curl sends a form unless it is told otherwise, and leaves the line breaks out. */
function checkType({ headers }: IncomingMessage): void {
  const type = String(headers['content-type'] ?? '')
    .split(';')[0]!
    .trim()
    .toLowerCase()
  if (TYPES.has(type)) return
  throw new OperationError(
    'bad_request',
    `content-type: is ${JSON.stringify(type.slice(0, 100))}; send application/x-ndjson, with one JSON object on each line`,
  )
}

const TYPES = new Set(['application/x-ndjson', 'application/ndjson', 'application/jsonl'])

/** Ends without an error only where the client had said all; what it had begun to say is then no line. */
async function* bodyOf(request: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    // To stop reading is not to end the connection: the client is still to be answered.
    yield* request.iterator({ destroyOnReturn: false })
  } catch (cause) {
    throw new OperationError('cancelled', 'the client is gone', { cause })
  }
}

/** A client reads its answer while what it still sends is thrown away, for a while. */
function throwAwayRest(request: IncomingMessage): void {
  if (request.complete || request.destroyed) return
  request.resume()
  const end = setTimeout(() => request.destroy(), REST_MS_MAX)
  request.once('close', () => clearTimeout(end))
}

export const BULKS_MAX = 16
export const BULKS_OF_TENANT_MAX = 4
const REST_MS_MAX = 5_000
/** As at the gateway, which bounds every other request by itself. Node ends one after 5 minutes unless it is told otherwise. */
export const BULK_MS_MAX = 3_600_000
