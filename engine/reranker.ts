import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { Fatal } from '../streams/errors.ts'
import { createPool, type PoolLog } from './pool.ts'
import { nameOf, verifyFiles } from './repository/model-files.ts'
import { folderOf, modelIn } from './repository/repository.ts'
import type { RerankItem, RerankSettings, Scored } from './rerank-worker.ts'

/** Says how well texts answer a query, reading both together: better than vectors, and far dearer, so only of a few candidates. */
export interface Reranker {
  /** `name@version`. */
  readonly model: string
  /** A score from 0 to 1 for each text, in order. Rejects with the signal's reason, and with `Reject` for a text that no thread survives. */
  rerank(query: string, texts: readonly string[], options: { readonly signal: AbortSignal }): Promise<readonly number[]>
  close(): Promise<void>
}

export interface RerankerOptions {
  /** `name`, `name@3` or `name:canary` of a model with the task `rerank`. */
  readonly model: string
  readonly modelsDir: string
  /** Threads, each with its own copy of the model. */
  readonly workers: number
  readonly log: PoolLog & { info(facts: object, message: string): void }
}

/** Loads a cross-encoder. Throws `Fatal` for a file that is not the declared one, and for a model that scores nothing. */
export async function openReranker({ model: reference, modelsDir, workers, log }: RerankerOptions): Promise<Reranker> {
  const model = modelIn(modelsDir, reference)
  const name = nameOf(model)
  if (model.task !== 'rerank')
    throw new Fatal(`the model ${name} makes vectors, it does not rerank; name one with the task rerank`)
  const folder = folderOf(modelsDir, model)
  await verifyFiles(folder, model)
  const settings: RerankSettings = {
    onnxPath: join(folder, 'model.onnx'),
    tokenizerJson: await readFile(join(folder, 'tokenizer.json'), 'utf8'),
    maxTokens: model.maxTokens,
    providers: ['cpu'],
  }
  const startWorker = () =>
    new Worker(new URL('./rerank-worker.ts', import.meta.url), { workerData: settings, execArgv: [] })
  const pool = createPool<RerankItem, Scored>({
    name,
    workers,
    express: 'at-first-use',
    startWorker,
    bytesOf: ({ query, text }) => Buffer.byteLength(query) + Buffer.byteLength(text),
    describe: ({ text }) => `a text of ${text.length} characters`,
    queueTextsMax: 256,
    queueBytesMax: 4 * 1024 * 1024,
    groupTextsMax: 1,
    log,
  })
  const rerank: Reranker['rerank'] = async (query, texts, { signal }) => {
    const items = texts.map((text) => ({ query, text }))
    const { answers } = await pool.run(items, { priority: 'bulk', signal })
    return answers.map(({ score }) => score)
  }
  try {
    await pool.ready()
    // What is met first takes longer, and a model that cannot score is to be known now.
    await rerank('a query', ['a text'], { signal: new AbortController().signal })
  } catch (cause) {
    await pool.close()
    throw new Fatal(`the model ${name} in ${folder} does not work`, { cause })
  }
  log.info({ model: name }, 'the reranking model is ready')
  return { model: name, rerank, close: () => pool.close() }
}
