import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { erasedAt } from '../../maintenance/erasure-tenant.ts'
import { Retry, reasonOf } from '../../streams/errors.ts'
import { isOperator, PRINCIPAL_HEADER, type Principal, verifyPrincipal } from '../principal.ts'
import { type AdminPorts, Refused } from './ports.ts'
import { type AdminRoute, adminRoutes } from './routes.ts'

export interface AdminServerPorts extends AdminPorts {
  /** The gateway signs with one of them. */
  readonly secrets: readonly string[]
  readonly operatorTenant: string | undefined
  readonly now: () => number
  /** What keeps the service from answering; null if nothing does. */
  missing(): string | null
  ended(request: {
    route: string
    by: string | null
    requestId: string
    status: number
    code: string
    ms: number
  }): void
  /** An error that nobody expected. */
  failed(error: unknown): void
}

/** Administration over HTTP, for whoever the gateway says that asks with the scope `admin`. */
export function adminServer(ports: AdminServerPorts): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    exposeHeadRoutes: false,
    genReqId: ({ headers }) => String(headers['x-request-id'] ?? ''),
    forceCloseConnections: 'idle',
  })
  /** What became of requests that are under way. */
  const told = new WeakMap<FastifyRequest, { by?: string; code?: string }>()
  // Bodies are JSON, whatever they are called: as at the other services.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, JSON.parse(body as string))
    } catch {
      done(new Refused(400, 'bad_request', 'the body is not JSON'))
    }
  })
  app.get('/health', async (_request, reply) => {
    const missing = ports.missing()
    return reply.code(missing === null ? 200 : 503).send({ status: missing ?? 'serving' })
  })
  for (const route of adminRoutes) serve(route)
  const failed = (error: unknown, request: FastifyRequest, reply: FastifyReply) => {
    const refused = asRefused(error, ports)
    told.set(request, { ...told.get(request), code: refused.code })
    return refuse(reply, refused, request.id)
  }
  app.setErrorHandler(failed)
  app.setNotFoundHandler((request, reply) =>
    failed(new Refused(404, 'not_found', 'there is nothing at this address'), request, reply),
  )
  return app

  function serve({ method, path, body, forOperators, run }: AdminRoute): void {
    app.route({
      method,
      url: path,
      // Before the body is read.
      onRequest: async (request) => {
        const principal = callerOf(request, ports)
        told.set(request, { by: nameOf(principal) })
        if (forOperators && !isOperator(principal, ports.operatorTenant))
          throw new Refused(403, 'forbidden', 'this is for keys of the tenant in FRESHET_OPERATOR_TENANT')
      },
      onResponse: (request, reply, done) => {
        const { statusCode: status, elapsedTime: ms } = reply
        const { by = null, code = 'ok' } = told.get(request) ?? {}
        ports.ended({ route: `${method} ${path}`, by, requestId: request.id, status, code, ms })
        done()
      },
      handler: async (request, reply) => {
        const principal = callerOf(request, ports)
        const left = new AbortController()
        reply.raw.once('close', () => left.abort(new Error('the caller has left')))
        const { status = 200, answer } = await run(
          {
            principal,
            isOperator: isOperator(principal, ports.operatorTenant),
            decider: { by: nameOf(principal), requestId: request.id },
            params: request.params as Record<string, string>,
            body: body === null ? undefined : parsed(body, request.body),
            signal: left.signal,
          },
          ports,
        )
        return reply.code(status).header('cache-control', 'no-store').send(answer)
      },
    })
  }
}

const nameOf = ({ tenant, subject }: Principal): string => `${tenant} ${subject}`

function callerOf({ headers }: FastifyRequest, { secrets, now, control }: AdminServerPorts): Principal {
  const principal = verifyPrincipal(headers[PRINCIPAL_HEADER], secrets, now())
  if (principal === null) throw new Refused(401, 'unauthenticated', 'ask through the gateway')
  if (!principal.scopes.includes('admin')) throw new Refused(403, 'forbidden', 'this needs the scope admin')
  if (erasedAt(principal.tenant, (key) => control.get(key)) !== null)
    throw new Refused(403, 'forbidden', 'the tenant was erased: nothing is admitted of it')
  return principal
}

function parsed(schema: NonNullable<AdminRoute['body']>, body: unknown): unknown {
  const { success, data, error } = schema.safeParse(body ?? {})
  if (success) return data
  const faults = error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.map(String).join('.') || 'body'}: ${message}`)
  throw new Refused(400, 'bad_request', faults.join('. '))
}

function asRefused(error: unknown, { failed }: AdminServerPorts): Refused {
  if (error instanceof Refused) return error
  if (error instanceof Retry)
    return new Refused(503, 'unavailable', `${reasonOf(error)}; it is not known whether it was done, ask again`, {
      retryAfterMs: 1_000,
    })
  const { statusCode, message } = error as FastifyError
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500)
    return new Refused(statusCode, 'bad_request', message)
  failed(error)
  return new Refused(500, 'internal', 'the service failed; its log says why')
}

function refuse(
  reply: FastifyReply,
  { status, code, message, retryAfterMs }: Refused,
  requestId: string,
): FastifyReply {
  const problem = { type: 'about:blank', status, code, detail: message, requestId }
  if (retryAfterMs !== undefined) reply.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
  return reply
    .code(status)
    .header('content-type', 'application/problem+json')
    .send(Buffer.from(`${JSON.stringify(problem)}\n`))
}

/** A thousand ids of 512 bytes, and the rest. */
const BODY_BYTES_MAX = 1024 * 1024
