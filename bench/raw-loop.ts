import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { defaultModel } from '../engine/repository/catalogue.ts'
import { embeddingModelIn, folderOf } from '../engine/repository/repository.ts'
import { createTokenizer } from '../engine/tokenizer.ts'

/** The model alone, on as many threads as the worker has: what end to end is compared with. */
export interface RawLoop extends AsyncDisposable {
  /** Over all texts, or the first few. */
  run(count?: number): Promise<{ readonly wallS: number; readonly cpuS: number }>
}

export async function rawLoop(modelsDir: string, texts: readonly string[], threads: number): Promise<RawLoop> {
  const model = embeddingModelIn(modelsDir, defaultModel)
  const directory = folderOf(modelsDir, model)
  const tokenizer = createTokenizer(readFileSync(join(directory, 'tokenizer.json'), 'utf8'))
  const ids: (readonly number[])[] = []
  for (const text of texts) ids.push((await tokenizer.ids(text, model.maxTokens)).ids)
  const counter = new Int32Array(new SharedArrayBuffer(4))
  const workerData = { onnxPath: join(directory, 'model.onnx'), counter }
  const workers = Array.from(
    { length: threads },
    () => new Worker(new URL('./raw-worker.ts', import.meta.url), { workerData }),
  )
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  return {
    async run(count = ids.length) {
      Atomics.store(counter, 0, 0)
      const began = performance.now()
      const answers = await Promise.all(
        workers.map((worker) => {
          const answer = once(worker, 'message') as Promise<[number]>
          worker.postMessage(count < ids.length ? ids.slice(0, count) : ids)
          return answer
        }),
      )
      return { wallS: (performance.now() - began) / 1_000, cpuS: answers.reduce((sum, [cpuS]) => sum + cpuS, 0) }
    },
    async [Symbol.asyncDispose]() {
      for (const worker of workers) worker.postMessage('close')
      await Promise.all(workers.map((worker) => (worker.threadId === -1 ? null : once(worker, 'exit'))))
    },
  }
}
