import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Fatal } from '../streams/errors.ts'
import type { EngineStats, Space } from './embedder.ts'
import { environmentOf } from './environment.ts'
import { fingerprintOf, goldenTexts } from './fingerprint.ts'
import type { Provider } from './onnx-session.ts'
import { createPool, type PoolLog, type Priority } from './pool.ts'
import type { EmbeddingModel } from './repository/declaration.ts'
import { type Golden, goldenFault, goldenOf } from './repository/golden.ts'
import { goldenFile, nameOf, verifyFiles } from './repository/model-files.ts'
import { spaceOf } from './space.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'
import type { Embedded, EmbedItem, WorkerSettings } from './worker.ts'

/** One version of a model with its threads. */
export interface LoadedModel {
  readonly model: EmbeddingModel
  readonly space: Space
  /** As an `Engine` has it. */
  readonly fingerprint: string
  /** What it computes on. */
  readonly provider: string
  readonly tokenizer: Tokenizer
  /** Tokens of the prompt of documents, with the special ones. */
  readonly promptTokens: number
  embed(texts: readonly string[], options: EmbeddingOptions): Promise<Embedding>
  stats(): EngineStats
  /** Ends the threads: what a session of the runtime leaks goes with them. */
  close(): Promise<void>
}

export interface EmbeddingOptions {
  /** Chooses the prompt. */
  readonly as: 'document' | 'query'
  /** Default: a query is interactive, a document bulk. */
  readonly priority?: Priority
  /** `cut`: of a text that is too long its start decides; `refuse`: it is at fault, with how long it is. */
  readonly tooLong: 'cut' | 'refuse'
  readonly signal?: AbortSignal | undefined
}

export interface Embedding {
  readonly answers: readonly Embedded[]
  /** Until a thread took the first text, ms. */
  readonly queueMs: number
}

export interface LoadOptions {
  /** Holds the version's files. */
  readonly folder: string
  /** Threads for everything, each with its own copy of the model; one per core by default. With 0 the thread for queries does it all. */
  readonly workers?: number
  /** One more thread is kept for what is interactive: loaded at the start, or by the first query. */
  readonly queryWorker?: 'at-start' | 'at-first-query'
  readonly queueTextsMax?: number
  readonly queueBytesMax?: number
  /** Default: cpu. */
  readonly providers?: readonly Provider[]
  readonly log: PoolLog & { info(facts: object, message: string): void }
}

/** Loads a version. Throws `Fatal` if a file is missing or another one than is declared, or if the golden texts have other vectors. */
export async function loadModel(model: EmbeddingModel, options: LoadOptions): Promise<LoadedModel> {
  const startedMs = performance.now()
  const { folder } = options
  await verifyFiles(folder, model)
  const golden = await goldenFile(folder)
  const loaded = await open(model, options, (vectors, provider) => {
    const fault = goldenFault(golden, vectors, environmentOf(provider))
    if (fault !== null) throw new Error(fault)
  })
  const startMs = Math.round(performance.now() - startedMs)
  const { space, fingerprint, provider } = loaded
  options.log.info({ model: nameOf(model), space: space.id, fingerprint, provider, startMs }, 'the model is ready')
  return loaded
}

/** The golden vectors of a version that is being added, here. Throws as `loadModel` does. */
export async function makeGolden(model: EmbeddingModel, options: LoadOptions): Promise<Golden> {
  let made: Golden | null = null
  const loaded = await open(model, { ...options, workers: 1 }, (vectors, provider) => {
    made = goldenOf(vectors, { environment: environmentOf(provider), quantisation: model.quantisation })
  })
  await loaded.close()
  return made!
}

async function open(
  model: EmbeddingModel,
  options: LoadOptions,
  judge: (vectors: readonly Float32Array[], provider: string) => void,
): Promise<LoadedModel> {
  const { folder, providers = ['cpu'], log, workers = availableParallelism() } = options
  const { queryWorker, queueTextsMax = 256, queueBytesMax = 4 * MiB } = options
  const settings: WorkerSettings = {
    onnxPath: join(folder, 'model.onnx'),
    tokenizerJson: await readFile(join(folder, 'tokenizer.json'), 'utf8'),
    pooling: model.pooling,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
    providers,
    paddedTokensMax: paddedTokensMaxOf(model, providers),
  }
  const pool = createPool<EmbedItem, Embedded>({
    name: nameOf(model),
    workers,
    express: queryWorker === 'at-start' ? 'at-start' : 'at-first-use',
    startWorker: () => new Worker(new URL('./worker.ts', import.meta.url), { workerData: settings, execArgv: [] }),
    bytesOf: ({ text }) => Buffer.byteLength(text),
    describe: ({ text }) => `${text.length} characters long`,
    queueTextsMax,
    queueBytesMax,
    groupTextsMax: settings.paddedTokensMax === null ? 1 : BATCH_TEXTS_MAX,
    log,
  })
  try {
    const tokenizer = createTokenizer(settings.tokenizerJson)
    const promptTokens = (await tokenizer.ids(model.prompts.document, model.maxTokens)).ids.length
    const provider = await pool.ready()
    if (provider !== providers[0])
      log.warn(
        { model: nameOf(model), wanted: providers[0], provider },
        'another execution provider is used than is wanted first',
      )
    // One by one, so that they have no company; the priority makes that every thread that is there gets some, and is warm then.
    const goldenItems = goldenTexts.map((text) => ({ text, cut: true }))
    const { answers } = await pool.run(goldenItems, {
      priority: workers === 0 || queryWorker === 'at-start' ? 'interactive' : 'bulk',
    })
    const vectors = answers.map(({ vector }) => vector)
    judge(vectors, provider)
    const golden = pool.stats()
    return {
      model,
      space: spaceOf(model),
      fingerprint: fingerprintOf(vectors),
      provider,
      tokenizer,
      promptTokens,
      embed(texts, { as, priority = as === 'query' ? 'interactive' : 'bulk', tooLong, signal }) {
        const cut = tooLong === 'cut'
        return pool.run(
          texts.map((text) => ({ text: model.prompts[as] + text, cut })),
          { priority, signal },
        )
      },
      stats: () => since(golden, pool.stats()),
      close: pool.close,
    }
  } catch (cause) {
    await pool.close()
    throw new Fatal(`the model ${nameOf(model)} in ${folder} does not work`, { cause })
  }
}

/**
 * On a CPU one text for each run is the fastest, and quantised models give a text other bytes in other company: these never run together.
 * Elsewhere a run costs the same for one text as for many.
 */
function paddedTokensMaxOf({ quantisation }: EmbeddingModel, providers: readonly Provider[]): number | null {
  return quantisation === 'none' && providers[0] !== 'cpu' ? PADDED_TOKENS_MAX : null
}

const MiB = 1024 * 1024
const BATCH_TEXTS_MAX = 64
const PADDED_TOKENS_MAX = 16_384

/** Without the golden texts. */
function since(before: EngineStats, now: EngineStats): EngineStats {
  return {
    texts: now.texts - before.texts,
    tokens: now.tokens - before.tokens,
    truncated: now.truncated - before.truncated,
    runMs: now.runMs - before.runMs,
    queued: now.queued,
    restarts: now.restarts,
  }
}
