import { loadModel } from '../../engine/loaded-model.ts'
import { declarationIn, declare, folderOf } from '../../engine/repository/repository.ts'
import { openReranker } from '../../engine/reranker.ts'
import { reasonOf } from '../../streams/errors.ts'
import { addressesOf, type InferenceConfig, rolePorts } from '../config.ts'
import { openFrame } from '../process.ts'
import { Admission } from './admission.ts'
import { callersOf } from './callers.ts'
import { grpcServer } from './grpc.ts'
import { inferenceMetrics } from './metrics.ts'
import { ServedModels } from './served-models.ts'
import { type InferenceServerPorts, inferenceServer } from './server.ts'

/** Vectors for whoever asks, over HTTP and gRPC. It knows neither Kafka nor Qdrant: all that it has is the repository of models. */
export async function runInference(config: InferenceConfig): Promise<void> {
  const ports = rolePorts(config)
  const { host, logLevel } = config
  const frame = await openFrame({ role: 'inference', host, adminPort: ports.inferenceAdmin, logLevel })
  const { log } = frame
  let state: string | null = 'starting'
  frame.ready(() => state)

  const { models: modelsDir } = addressesOf(config)
  const models: ServedModels = new ServedModels(config.inferenceModels ?? [nameIn(config.model)], {
    declaration: (name) => declarationIn(modelsDir, name),
    load: (model) =>
      loadModel(model, {
        folder: folderOf(modelsDir, model),
        ...(config.inferenceThreads !== undefined && { workers: config.inferenceThreads }),
        queryWorker: 'at-start',
        providers: config.inferenceProviders,
        log,
      }),
    bounds: { textsMax: { interactive: config.inferenceQueueTextsMax, bulk: config.inferenceQueueTextsMax } },
    now: Date.now,
    told: (model, what, reason) =>
      log[what === 'failed' ? 'error' : 'info']({ model, reason }, `${model} ${words[what]}`),
  })
  frame.closing(() => models.close())
  const missing = () => state ?? models.missing()
  frame.ready(() => (state === null ? models.missing() : null))

  const { rerankModel } = config
  const reranker =
    rerankModel === undefined
      ? null
      : await openReranker({ model: rerankModel, modelsDir, workers: config.rerankWorkers, log })
  if (reranker !== null) frame.closing(() => reranker.close())
  const pairsMax = { interactive: config.inferenceQueueTextsMax, bulk: config.inferenceQueueTextsMax }

  const serverPorts: InferenceServerPorts = {
    models,
    callers: callersOf(config),
    metrics: inferenceMetrics(frame.metrics, () => models),
    limits: { textsMax: config.inferenceTextsMax, textBytesMax: config.inferenceTextBytesMax },
    reranking: { reranker, admission: new Admission({ textsMax: pairsMax }) },
    now: Date.now,
    missing,
    declare: (name, change) => declare(modelsDir, name, (present) => change(present ?? declarationIn(modelsDir, name))),
    failed: (error) => log.error({ reason: reasonOf(error), stack: (error as Error).stack }, 'a request failed'),
  }
  const http = inferenceServer(serverPorts)
  const grpc = grpcServer(serverPorts)
  const sessions = new Set<{ close(): void }>()
  grpc.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
  })
  frame.closing(async () => {
    state = 'stopping'
    // Each answers what it was asked, and takes no more.
    for (const session of sessions) session.close()
    await Promise.all([http.close(), new Promise<void>((resolve) => grpc.close(() => resolve()))])
  })
  await http.listen({ port: ports.inference, host })
  await new Promise<void>((resolve, reject) => {
    grpc.once('error', reject)
    grpc.listen(ports.inferenceGrpc, host, resolve)
  })
  await models.follow()
  const following = setInterval(() => void models.follow(), config.inferenceFollowMs)
  frame.closing(async () => clearInterval(following))
  state = null
  const waits = models.missing()
  log.info({ port: ports.inference, grpcPort: ports.inferenceGrpc, models: models.ready, waits }, 'inference listens')
}

const words = { loaded: 'serves', unloaded: 'was unloaded', failed: 'could not be loaded' } as const

const nameIn = (reference: string): string => reference.split(/[@:]/)[0]!
