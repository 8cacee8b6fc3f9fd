import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Fatal } from '../streams/errors.ts'
import type { EmbedOptions, EngineStats, Space } from './embedder.ts'
import { environmentOf } from './environment.ts'
import { fingerprintOf, goldenTexts } from './fingerprint.ts'
import { createPool, type Pool, type PoolLog } from './pool.ts'
import type { EmbeddingModel } from './repository/declaration.ts'
import { type Golden, goldenFault, goldenOf } from './repository/golden.ts'
import { goldenFile, nameOf, verifyFiles } from './repository/model-files.ts'
import { spaceOf } from './space.ts'
import { createTokenizer, type Tokenizer } from './tokenizer.ts'
import type { WorkerSettings } from './worker.ts'

/** One version of a model with its threads. */
export interface LoadedModel {
  readonly model: EmbeddingModel
  readonly space: Space
  /** As an `Engine` has it. */
  readonly fingerprint: string
  readonly tokenizer: Tokenizer
  /** Tokens of the prompt of documents, with the special ones. */
  readonly promptTokens: number
  embed(texts: readonly string[], options: EmbedOptions): Promise<readonly Float32Array[]>
  stats(): EngineStats
  /** Ends the threads: what a session of the runtime leaks goes with them. */
  close(): Promise<void>
}

export interface LoadOptions {
  /** Holds the version's files. */
  readonly folder: string
  /** Threads for documents, each with its own copy of the model; one per core by default. With 0 the thread for queries does it all. */
  readonly workers?: number
  /** One more thread is kept for queries: loaded at the start, or by the first query, which then waits for it. */
  readonly queryWorker?: 'at-start' | 'at-first-query'
  readonly queueTextsMax?: number
  readonly queueBytesMax?: number
  readonly log: PoolLog & { info(facts: object, message: string): void }
}

/** Loads a version. Throws `Fatal` if a file is missing or another one than is declared, or if the golden texts have other vectors. */
export async function loadModel(model: EmbeddingModel, options: LoadOptions): Promise<LoadedModel> {
  const startedMs = performance.now()
  const { folder } = options
  await verifyFiles(folder, model)
  const golden = await goldenFile(folder)
  const loaded = await open(model, options, (vectors) => {
    const fault = goldenFault(golden, vectors, environmentOf(PROVIDER))
    if (fault !== null) throw new Error(fault)
  })
  const startMs = Math.round(performance.now() - startedMs)
  const { space, fingerprint } = loaded
  options.log.info({ model: nameOf(model), space: space.id, fingerprint, startMs }, 'the model is ready')
  return loaded
}

/** The golden vectors of a version that is being added, here. Throws as `loadModel` does. */
export async function makeGolden(model: EmbeddingModel, options: LoadOptions): Promise<Golden> {
  let made: Golden | null = null
  const loaded = await open(model, { ...options, workers: 1 }, (vectors) => {
    made = goldenOf(vectors, { environment: environmentOf(PROVIDER), quantisation: model.quantisation })
  })
  await loaded.close()
  return made!
}

const PROVIDER = 'cpu'

async function open(
  model: EmbeddingModel,
  options: LoadOptions,
  judge: (vectors: readonly Float32Array[]) => void,
): Promise<LoadedModel> {
  const { folder } = options
  const settings: WorkerSettings = {
    onnxPath: join(folder, 'model.onnx'),
    tokenizerJson: await readFile(join(folder, 'tokenizer.json'), 'utf8'),
    pooling: model.pooling,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
  }
  const startWorker = () => new Worker(new URL('./worker.ts', import.meta.url), { workerData: settings, execArgv: [] })
  const poolOf = (name: string, workers: number) => createPool({ name, workers, ...poolDefaults(options), startWorker })
  const workers = options.workers ?? availableParallelism()
  let queries = workers === 0 || options.queryWorker === 'at-start' ? poolOf('queries', 1) : null
  const bulk = workers === 0 ? queries! : poolOf('bulk', workers)
  const pools = () => [...new Set(queries ? [bulk, queries] : [bulk])]

  let closed = false
  const close = async () => {
    closed = true
    await Promise.all(pools().map((pool) => pool.close()))
  }
  try {
    const tokenizer = createTokenizer(settings.tokenizerJson)
    const promptTokens = (await tokenizer.ids(model.prompts.document, model.maxTokens)).ids.length
    await Promise.all(pools().map((pool) => pool.ready()))
    // They warm the threads up too: what is met first takes longer.
    const [vectors] = await Promise.all(pools().map((pool) => pool.embed(goldenTexts)))
    judge(vectors!)
    const golden = total(pools())
    return {
      model,
      space: spaceOf(model),
      fingerprint: fingerprintOf(vectors!),
      tokenizer,
      promptTokens,
      embed(texts, { as, signal }) {
        const prompt = model.prompts[as]
        const prompted = prompt === '' ? texts : texts.map((text) => prompt + text)
        if (as === 'document' || closed) return bulk.embed(prompted, signal)
        queries ??= poolOf('queries', 1)
        return queries.embed(prompted, signal)
      },
      stats: () => total(pools(), golden),
      close,
    }
  } catch (cause) {
    await close()
    throw new Fatal(`the model ${nameOf(model)} in ${folder} does not work`, { cause })
  }
}

function poolDefaults({ queueTextsMax = 256, queueBytesMax = 4 * 1024 * 1024, log }: LoadOptions) {
  return { queueTextsMax, queueBytesMax, log }
}

/** What all pools did, but for the golden texts. */
function total(pools: readonly Pool[], golden?: EngineStats): EngineStats {
  const all = pools.map((pool) => pool.stats())
  const sum = (of: (stats: Omit<EngineStats, 'restarts'>) => number) =>
    all.reduce((so, stats) => so + of(stats), golden ? -of(golden) : 0)
  return {
    texts: sum((stats) => stats.texts),
    tokens: sum((stats) => stats.tokens),
    truncated: sum((stats) => stats.truncated),
    runMs: sum((stats) => stats.runMs),
    queued: sum((stats) => stats.queued),
    restarts: all.flatMap((stats) => stats.restarts),
  }
}
