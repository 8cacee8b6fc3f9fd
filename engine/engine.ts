import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Fatal } from '../streams/errors.ts'
import type { Engine, EngineStats } from './embedder.ts'
import { fingerprintOf, goldenTexts } from './fingerprint.ts'
import { defaultModel, type EmbeddingModel, type ModelFile, modelNamed } from './models.ts'
import { createPool, type Pool, type PoolLog } from './pool.ts'
import { spaceOf } from './space.ts'
import { split } from './splitting.ts'
import { documentTerms, queryTerms } from './terms.ts'
import { createTokenizer } from './tokenizer.ts'
import type { WorkerSettings } from './worker.ts'

export interface EngineOptions {
  /** Name in the catalogue (`models.ts`). */
  readonly model?: string
  /** Holds `<model name>/model.onnx` and `<model name>/tokenizer.json`. */
  readonly modelsDir: string
  /** Threads for documents, each with its own copy of the model; one per core by default. With 0 the thread for queries does it all. */
  readonly workers?: number
  /** One more thread is kept for queries: loaded at the start, or by the first query, which then waits for it. */
  readonly queryWorker?: 'at-start' | 'at-first-query'
  readonly queueTextsMax?: number
  readonly queueBytesMax?: number
  readonly log: PoolLog & { info(facts: object, message: string): void }
}

/** Loads a model. Throws `Fatal` if its files are missing, are not what the catalogue says, or give other vectors than it says. */
export async function createEngine(options: EngineOptions): Promise<Engine> {
  const startedMs = performance.now()
  const model = modelNamed(options.model ?? defaultModel)
  const directory = join(options.modelsDir, model.name)
  const [, tokenizerFile] = await Promise.all([
    verified(directory, model.onnx, model),
    verified(directory, model.tokenizer, model),
  ])
  const settings: WorkerSettings = {
    onnxPath: join(directory, model.onnx.file),
    tokenizerJson: tokenizerFile.toString('utf8'),
    pooling: model.pooling,
    dimensions: model.dimensions,
    maxTokens: model.maxTokens,
  }
  const tokenizer = createTokenizer(settings.tokenizerJson)
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
    const promptTokens = (await tokenizer.ids(model.prompts.document, model.maxTokens)).ids.length
    await Promise.all(pools().map((pool) => pool.ready()))
    const loadedMs = performance.now()
    const fingerprint = fingerprintOf(await bulk.embed(goldenTexts))
    const readyMs = performance.now()
    const golden = total(pools())
    const space = spaceOf(model)
    options.log.info(
      {
        model: model.name,
        space: space.id,
        fingerprint,
        fingerprintMs: Math.round(readyMs - loadedMs),
        startMs: Math.round(readyMs - startedMs),
      },
      'the engine is ready',
    )
    return {
      space,
      fingerprint,
      split: (text) => split(text, tokenizer.words, model.maxTokens - promptTokens),
      embed(texts, { as, signal }) {
        const prompt = model.prompts[as]
        const prompted = prompt === '' ? texts : texts.map((text) => prompt + text)
        if (as === 'document' || closed) return bulk.embed(prompted, signal)
        queries ??= poolOf('queries', 1)
        return queries.embed(prompted, signal)
      },
      documentTerms,
      queryTerms,
      stats: () => total(pools(), golden),
      close,
    }
  } catch (cause) {
    await close()
    throw new Fatal(`the model ${model.name} in ${directory} does not work`, { cause })
  }
}

function poolDefaults({ queueTextsMax = 256, queueBytesMax = 4 * 1024 * 1024, log }: EngineOptions) {
  return { queueTextsMax, queueBytesMax, log }
}

/** The file's bytes, if they are those of the catalogue. */
async function verified(directory: string, { file, sha256 }: ModelFile, model: EmbeddingModel): Promise<Buffer> {
  const path = join(directory, file)
  const bytes = await readFile(path).catch((cause: unknown) => {
    const { group, artifact, version } = model.jar
    throw new Fatal(`cannot read ${path} of the model ${model.name} (from ${group}:${artifact}:${version})`, { cause })
  })
  const found = createHash('sha256').update(bytes).digest('hex')
  if (found === sha256) return bytes
  throw new Fatal(`${path} is not the file of the model ${model.name}: expected sha256 ${sha256}, found ${found}`)
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
