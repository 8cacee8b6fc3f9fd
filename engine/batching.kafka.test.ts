import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { localSettings } from '../infra/local/settings.ts'
import { setUp } from '../infra/local/setup.ts'
import { goldenTexts } from './fingerprint.ts'
import type { FromWorker, ToWorker } from './pool.ts'
import type { Embedded, EmbedItem, WorkerSettings } from './worker.ts'

/** Not quantised; it comes with the first run. */
const model = 'all-minilm-l6-v2'
const { toolsDir, dataDir } = localSettings(process.env)
const modelsDir = setUp({
  toolsDir,
  tools: ['models'],
  models: [model],
  logDir: join(dataDir, 'logs'),
  signal: new AbortController().signal,
  report: () => {},
}).models

test('a model that is not quantised gives a text the same vector in any company, but for rounding', async () => {
  const together = await embedded(16_384)
  const alone = await embedded(null)
  const inSmallBatches = await embedded(256)

  assert.deepEqual(
    together.map(({ batch }) => batch),
    goldenTexts.map(() => goldenTexts.length),
  )
  assert.ok(inSmallBatches.some(({ batch }) => batch > 1 && batch < goldenTexts.length))
  for (const [at, { vector }] of alone.entries())
    for (const other of [together[at]!, inSmallBatches[at]!])
      assert.ok(dot(vector, other.vector) > 0.999999, `text ${at}: cosine ${dot(vector, other.vector)}`)
  assert.deepEqual(
    together.map(({ tokens, padding }) => tokens + padding),
    goldenTexts.map(() => Math.max(...alone.map(({ tokens }) => tokens))),
  )
})

async function embedded(paddedTokensMax: number | null): Promise<readonly Embedded[]> {
  const folder = join(await modelsDir, model, '1')
  const workerData: WorkerSettings = {
    onnxPath: join(folder, 'model.onnx'),
    tokenizerJson: await readFile(join(folder, 'tokenizer.json'), 'utf8'),
    pooling: 'mean',
    dimensions: 384,
    maxTokens: 256,
    providers: ['cpu'],
    paddedTokensMax,
  }
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData })
  await once(worker, 'message')
  const items = goldenTexts.map((text) => ({ text, cut: true }))
  worker.postMessage({ id: 1, items } satisfies ToWorker<EmbedItem>)
  const [said] = (await once(worker, 'message')) as [FromWorker<Embedded>]
  worker.postMessage('close' satisfies ToWorker<EmbedItem>)
  await once(worker, 'exit')
  assert.ok('answers' in said)
  return said.answers as readonly Embedded[]
}

function dot(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, d) => sum + value * b[d]!, 0)
}
