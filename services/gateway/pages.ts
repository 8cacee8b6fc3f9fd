import type { FastifyInstance } from 'fastify'
import type { Admission } from './admission.ts'
import { Refusal } from './refusal.ts'

/** CORS: pages of the listed origins may call, and read what the rate headers say. */
export function allowPages(app: FastifyInstance, admission: Admission): void {
  app.addHook('onRequest', async (request, reply) => {
    const { origin } = request.headers
    if (origin === undefined) return
    reply.header('vary', 'origin')
    admission.checkOrigin(request.headers)
    reply.header('access-control-allow-origin', origin)
    reply.header(
      'access-control-expose-headers',
      'ratelimit, ratelimit-policy, retry-after, x-request-id, x-freshet-token',
    )
  })
  app.options('/*', async (request, reply) => {
    if (request.headers.origin === undefined || request.headers['access-control-request-method'] === undefined)
      throw new Refusal(404, 'not_found', 'there is nothing at this address')
    return reply
      .code(204)
      .header('access-control-allow-methods', 'GET, POST, PUT, DELETE')
      .header(
        'access-control-allow-headers',
        'authorization, x-api-key, content-type, x-freshet-after, prefer, last-event-id, idempotency-key, traceparent',
      )
      .header('access-control-max-age', '600')
      .send()
  })
}
