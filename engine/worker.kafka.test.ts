import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { modelsDir } from './models.fixture.ts'
import type { FromWorker, ToWorker, WorkerSettings } from './worker.ts'

test('a model whose vectors do not have the dimensions of the catalogue is refused', async () => {
  const answer = await answerOf({ dimensions: 383 })

  assert.deepEqual(answer, { id: 1, error: "the model's vectors have 384 dimensions, expected 383" })
})

test('the first token and the mean of all tokens are different vectors', async () => {
  const mean = await answerOf({ pooling: 'mean' })
  const cls = await answerOf({ pooling: 'cls' })

  assert.ok(isEmbedded(mean) && isEmbedded(cls))
  assert.notDeepEqual(mean.vector, cls.vector)
  assert.equal(mean.tokens, cls.tokens)
})

async function answerOf(changes: Partial<WorkerSettings>): Promise<FromWorker> {
  const directory = join(modelsDir, 'all-minilm-l6-v2-q', '1')
  const workerData: WorkerSettings = {
    onnxPath: join(directory, 'model.onnx'),
    tokenizerJson: await readFile(join(directory, 'tokenizer.json'), 'utf8'),
    pooling: 'mean',
    dimensions: 384,
    maxTokens: 256,
    ...changes,
  }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData })
  assert.deepEqual(await once(worker, 'message'), ['ready'])
  worker.postMessage({ id: 1, text: 'a freshet' } satisfies ToWorker)
  const [answer] = (await once(worker, 'message')) as [FromWorker]
  worker.postMessage('close' satisfies ToWorker)
  await once(worker, 'exit')
  return answer
}

function isEmbedded(answer: FromWorker) {
  return answer !== 'ready' && 'vector' in answer
}
