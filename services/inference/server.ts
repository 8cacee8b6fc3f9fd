import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { z } from 'zod'
import type { ModelDeclaration } from '../../engine/repository/declaration.ts'
import { referenceOf } from '../../engine/repository/reference.ts'
import { reasonOf } from '../../streams/errors.ts'
import { type Embedded, type EmbedPorts, embedTexts } from './embed-texts.ts'
import { modelMetadata, serverMetadata, wishInRequest } from './open-inference.ts'
import { inferAnswerOf, inferBody, requestInBody } from './open-inference-rest.ts'
import { checkDimensions, embeddingsBody, embeddingsOf, wishInBody } from './openai.ts'
import { Refused } from './refused.ts'
import { type RerankPorts, rerank, rerankBody } from './rerank.ts'
import { labelsBody, trafficBody } from './rollout.ts'
import { wishOf } from './wishes.ts'

export interface InferenceServerPorts extends EmbedPorts {
  readonly reranking: Pick<RerankPorts, 'reranker' | 'admission'>
  /** What keeps the service from answering; null if nothing does. */
  missing(): string | null
  /** Changes what a model declares of itself, in the folder. */
  declare(name: string, change: (present: ModelDeclaration) => ModelDeclaration): ModelDeclaration
  /** An error that nobody expected. */
  failed(error: unknown): void
}

type Shape = 'openai' | 'problem' | 'v2'

/** The inference service over HTTP: OpenAI's embeddings, Open Inference v2, and what operators change. */
export function inferenceServer(ports: InferenceServerPorts): FastifyInstance {
  const app = Fastify({
    bodyLimit: BODY_BYTES_MAX,
    exposeHeadRoutes: false,
    genReqId: ({ headers }) => String(headers['x-request-id'] ?? ''),
    forceCloseConnections: 'idle',
    routerOptions: { maxParamLength: 256 },
  })
  // Bodies are JSON, whatever they are called: as at the other services.
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string' }, (_request, body, done) => {
    try {
      done(null, body === '' ? undefined : JSON.parse(body as string))
    } catch {
      done(new Refused('bad_request', 'the body is not JSON'))
    }
  })
  const { models, callers } = ports
  const shapeOf = (url: string): Shape =>
    url.startsWith('/v2') ? 'v2' : url.startsWith('/v1/embeddings') ? 'openai' : 'problem'
  app.setErrorHandler((error: FastifyError, request, reply) =>
    refuse(reply, asRefused(error, ports), shapeOf(request.url), request.id),
  )
  app.setNotFoundHandler((request, reply) =>
    refuse(reply, new Refused('not_found', 'there is nothing at this address'), shapeOf(request.url), request.id),
  )
  app.addHook('onResponse', (request, reply, done) => {
    const route = request.routeOptions.url
    if (route !== '/health')
      ports.metrics.ended(
        `http ${route ?? 'unknown'}`,
        reply.statusCode < 400 ? 'ok' : String(reply.statusCode),
        reply.elapsedTime,
      )
    done()
  })

  app.get('/health', async (_request, reply) => {
    const missing = ports.missing()
    return reply.code(missing === null ? 200 : 503).send({ status: missing ?? 'serving' })
  })

  app.post('/v1/embeddings', async (request, reply) => {
    const said = saidBy(request, reply)
    const body = parsed(embeddingsBody, request.body)
    const wish = wishInBody(body)
    // Before anything is computed.
    if (body.dimensions !== undefined)
      checkDimensions(models.pick(wish.model, () => said.principal.tenant).loaded.space.dimensions, body.dimensions)
    const done = await embedTexts({ ...said, ...wish }, ports)
    return reply.headers(informing(done)).send(embeddingsOf(done, body))
  })

  app.post('/v1/rerank', async (request, reply) => {
    const said = saidBy(request, reply)
    const answer = await rerank(parsed(rerankBody, request.body), said, { ...ports, ...ports.reranking })
    return reply.header('x-freshet-model', answer.model).send(answer)
  })

  app.get('/v2', async () => serverMetadata)
  app.get('/v2/health/live', async () => ({ live: true }))
  app.get('/v2/health/ready', async (_request, reply) => {
    const ready = ports.missing() === null
    return reply.code(ready ? 200 : 503).send({ ready })
  })
  for (const path of ['/v2/models/:model', '/v2/models/:model/versions/:version'] as const) {
    app.get(path, async (request) => {
      callers.of(request.headers, 'infer')
      const { name, version } = namedBy(request)
      return modelMetadata(models.declaration(name), version)
    })
    app.get(`${path}/ready`, async (request, reply) => {
      const { name, version } = namedBy(request)
      const ready = models.isReady(name, version)
      return reply.code(ready ? 200 : 503).send({ name, ready })
    })
    app.post(`${path}/infer`, async (request, reply) => {
      const said = saidBy(request, reply)
      if (request.headers['inference-header-content-length'] !== undefined)
        throw new Refused('unsupported', 'binary tensors are not taken over HTTP: send "data", or use gRPC')
      const { model = '', version = '' } = request.params as Record<string, string>
      const body = parsed(inferBody, request.body)
      const done = await embedTexts({ ...said, ...wishInRequest(requestInBody(model, version, body)) }, ports)
      return reply.headers(informing(done)).send(inferAnswerOf(done, body.id))
    })
  }

  app.post('/v2/repository/index', async (request) => {
    callers.operator(request.headers)
    const { ready } = (request.body ?? {}) as { ready?: unknown }
    return models.rows().filter(({ state }) => ready !== true || state === 'READY')
  })
  app.post('/v2/repository/models/:model/load', async (request) => {
    callers.operator(request.headers)
    const { name } = namedBy(request)
    await models.add(name)
    return { name, ready: models.isReady(name, null) }
  })
  app.post('/v2/repository/models/:model/unload', async (request) => {
    callers.operator(request.headers)
    const { name } = namedBy(request)
    await models.remove(name)
    return { name, ready: false }
  })
  for (const [path, body] of [
    ['labels', labelsBody],
    ['traffic', trafficBody],
  ] as const)
    app.put(`/v1/models/:model/${path}`, async (request) => {
      callers.operator(request.headers)
      const { name } = namedBy(request)
      models.declaration(name)
      const value = parsed(body as z.ZodType, request.body)
      const change = (present: ModelDeclaration) => ({ ...present, [path]: value }) as ModelDeclaration
      const { labels, traffic = null } = declared(() => ports.declare(name, change))
      await models.follow()
      return { model: name, labels, traffic, versions: models.rows().filter((row) => row.name === name) }
    })
  return app

  function saidBy(request: FastifyRequest, reply: FastifyReply) {
    const principal = callers.of(request.headers, 'infer')
    const left = new AbortController()
    reply.raw.once('close', () => {
      if (!reply.raw.writableFinished) left.abort(new Error('the caller has left'))
    })
    return wishOf(request.headers, { principal, signal: left.signal })
  }
}

/** What every answer tells of how it was made. */
export const informing = ({ model, served, queueMs, computeMs }: Embedded): Record<string, string> => ({
  'x-freshet-model': model,
  'x-freshet-space': served.loaded.space.id,
  'x-freshet-queue-ms': queueMs.toFixed(1),
  'x-freshet-compute-ms': computeMs.toFixed(1),
})

function namedBy(request: FastifyRequest): { name: string; version: number | null } {
  const { model = '', version } = request.params as Record<string, string>
  try {
    const { name } = referenceOf(model)
    return { name, version: version === undefined ? null : Number(version) }
  } catch (cause) {
    throw new Refused('bad_request', reasonOf(cause), { param: 'model', cause })
  }
}

function declared(change: () => ModelDeclaration): ModelDeclaration {
  try {
    return change()
  } catch (cause) {
    const reason = reasonOf(cause)
    // A folder that cannot be written to is no mistake of the caller.
    if (/EROFS|EACCES|EPERM/.test(reason))
      throw new Refused('conflict', `the repository of models cannot be written to: ${reason}`, { cause })
    throw new Refused('bad_request', reason, { cause })
  }
}

function parsed<T>(schema: z.ZodType<T>, body: unknown): T {
  const { success, data, error } = schema.safeParse(body === undefined ? {} : body)
  if (success) return data
  const faults = error.issues
    .slice(0, 5)
    .map(({ path, message }) => `${path.map(String).join('.') || 'body'}: ${message}`)
  throw new Refused('bad_request', faults.join('. '), { param: error.issues[0]!.path.map(String).join('.') || null })
}

function asRefused(error: unknown, { failed }: InferenceServerPorts): Refused {
  if (error instanceof Refused) return error
  const { statusCode, message } = error as FastifyError
  if (statusCode === 413) return new Refused('too_large', `the body is larger than ${BODY_BYTES_MAX} bytes`)
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) return new Refused('bad_request', message)
  failed(error)
  return new Refused('internal', 'the service failed; its log says why')
}

function refuse(reply: FastifyReply, refused: Refused, shape: Shape, requestId: string): FastifyReply {
  const { status, code, message, param, retryAfterMs } = refused
  if (retryAfterMs !== undefined) {
    reply.header('retry-after', String(Math.ceil(retryAfterMs / 1_000)))
    // OpenAI's clients wait as long as this says.
    reply.header('retry-after-ms', String(Math.ceil(retryAfterMs)))
  }
  const type = status < 500 ? 'invalid_request_error' : 'server_error'
  const bodies = {
    openai: { error: { message, type, param, code } },
    v2: { error: message },
    problem: { type: 'about:blank', status, code, detail: message, requestId },
  }
  return reply
    .code(status)
    .header('content-type', shape === 'problem' ? 'application/problem+json' : 'application/json')
    .send(Buffer.from(`${JSON.stringify(bodies[shape])}\n`))
}

/** As the gateway's. */
const BODY_BYTES_MAX = 17 * 1024 * 1024
