import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { z } from 'zod'
import { shapeFault } from './json-shape.ts'
import type { Operation } from './operations.ts'
import { clientMessage, faultsIn, LIMITS, OperationError, type PublishItem, publishWish, put } from './protocol.ts'

/** What a request over HTTP asks for, as the message of the WebSocket that it stands for. Each throws an `OperationError`. */

/** The paths that are answered with POST. */
export const operations: Readonly<Record<string, Operation['type']>> = {
  '/v1/search': 'search',
  '/v1/documents': 'publish',
  '/v1/wait': 'wait',
}

/** One document is put and deleted below this, many are sent to `BULK_PATH`. */
export const DOCUMENTS_PATH = '/v1/documents/'
export const BULK_PATH = '/v1/documents/bulk'

/** A document without its id, which the address says. */
export const document = put.omit({ id: true })
/** What the address says of it beside. */
export const wish = z.strictObject(publishWish)

/** The body is the message, without `type` and `id`; what `x-freshet-after` and `Prefer: wait` say is a field of it too. */
export async function messageIn(type: Operation['type'], request: IncomingMessage): Promise<Operation> {
  const body = jsonObject(await bodyOf(request))
  const own = Object.keys(body).find((name) => name === 'type' || name === 'id')
  if (own !== undefined) throw new OperationError('bad_request', `${own} is not a field of this body; leave it out`)
  const message = { ...body, ...afterIn(type, body, request.headers), type, id: 'http' }
  const parsed = clientMessage.safeParse(message)
  if (!parsed.success) throw new OperationError('bad_request', faultsIn(parsed.error, message))
  return parsed.data as Operation
}

/** PUT and DELETE of `/v1/documents/{id}`. */
export async function publishIn(request: IncomingMessage): Promise<Operation> {
  const id = idIn(request.url)
  const item: PublishItem = request.method === 'DELETE' ? { id, delete: true } : await putIn(request, id)
  return { type: 'publish', id: 'http', documents: [item], ...wishIn(request) }
}

async function putIn(request: IncomingMessage, id: string): Promise<PublishItem> {
  const body = jsonObject(await bodyOf(request))
  if ('id' in body) throw new OperationError('bad_request', 'id is not a field of this body; the address says it')
  const parsed = document.safeParse(body)
  if (!parsed.success) throw new OperationError('bad_request', faultsIn(parsed.error, body))
  return { id, ...parsed.data }
}

/** Everything behind the path: a slash may stand as it is or as %2F. */
function idIn(url = ''): string {
  const written = url.split('?')[0]!.slice(DOCUMENTS_PATH.length)
  try {
    return decodeURIComponent(written)
  } catch {
    throw new OperationError('bad_request', `id: ${JSON.stringify(written.slice(0, 100))} is not percent-encoded UTF-8`)
  }
}

/** `ack` and `timeoutMs` in the address. */
export function wishIn({ url = '' }: IncomingMessage): z.infer<typeof wish> {
  const fields: Record<string, unknown> = {}
  for (const [name, value] of new URL(url, 'http://service').searchParams) {
    if (name in fields) throw new OperationError('bad_request', `${name}: is there more than once`)
    fields[name] = name === 'timeoutMs' && /^\d{1,9}$/.test(value) ? Number(value) : value
  }
  const parsed = wish.safeParse(fields)
  if (!parsed.success) throw new OperationError('bad_request', faultsIn(parsed.error, fields))
  return parsed.data
}

/** A read is told by headers too how fresh it is to be. */
function afterIn(type: Operation['type'], body: object, headers: IncomingHttpHeaders): object {
  const after = headers['x-freshet-after']
  if (after === undefined || type === 'publish') return {}
  const field = type === 'search' ? 'freshness' : 'after'
  if (field in body)
    throw new OperationError('bad_request', `x-freshet-after: the body has ${field} too; leave one of the two out`)
  const seconds = waitIn(headers)
  const wanted = { after: String(after), ...(seconds !== null && { timeoutMs: seconds * 1_000 }) }
  if (type === 'search') return { freshness: wanted }
  if ('timeoutMs' in body && seconds !== null)
    throw new OperationError('bad_request', 'Prefer: wait: the body has timeoutMs too; leave one of the two out')
  return wanted
}

/** RFC 7240: what is preferred and cannot be had is had as near as it can. Seconds; null: nothing that we know is preferred. */
export function waitIn({ prefer }: IncomingHttpHeaders): number | null {
  const [, seconds] = /(?:^|[,;])\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:[,;]|$)/i.exec(String(prefer ?? '')) ?? []
  return seconds === undefined ? null : Math.min(Number(seconds), LIMITS.timeoutMsMax / 1_000)
}

function jsonObject(body: unknown): object {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new OperationError('bad_request', 'the body is no JSON object')
  return body
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length
    if (bytes > BODY_BYTES_MAX)
      throw new OperationError('bad_request', `the body is larger than ${BODY_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  const text = Buffer.concat(chunks).toString('utf8')
  const fault = shapeFault(text)
  if (fault !== null) throw new OperationError('bad_request', `the body ${fault}`)
  try {
    return JSON.parse(text)
  } catch {
    throw new OperationError('bad_request', 'the body is not JSON')
  }
}

/** One document of 16 MiB, and the rest. */
const BODY_BYTES_MAX = 17 * 1024 * 1024
