import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { modelsDir } from './models.fixture.ts'
import type { FromWorker, Said, ToWorker } from './pool.ts'
import type { Embedded, EmbedItem, WorkerSettings } from './worker.ts'

test('a model whose vectors do not have the dimensions of the catalogue is refused', async () => {
  const [answer] = await answersOf({ dimensions: 383 })

  assert.deepEqual(answer, { error: "the model's vectors have 384 dimensions, expected 383" })
})

test('the first token and the mean of all tokens are different vectors', async () => {
  const [mean] = await answersOf({ pooling: 'mean' })
  const [cls] = await answersOf({ pooling: 'cls' })

  assert.ok(isEmbedded(mean!) && isEmbedded(cls!))
  assert.notDeepEqual(mean.vector, cls.vector)
  assert.equal(mean.tokens, cls.tokens)
})

test('a text that is too long is at fault with how long it is, or its start decides; others are answered', async () => {
  const long = 'word '.repeat(300)

  const [whole, cut, short] = await answersOf({}, [item(long, false), item(long, true), item('a freshet', false)])

  assert.deepEqual(whole, { fault: 'has 302 tokens, and the model takes 256' })
  assert.ok(isEmbedded(cut!) && cut.truncated && cut.tokens === 256)
  assert.ok(isEmbedded(short!) && !short.truncated)
})

test('an execution provider that is not there is refused, or the next one is used and named', async () => {
  const { settings, worker } = await start({ providers: ['cuda', 'cpu'] })
  const [ready] = await once(worker, 'message')
  worker.postMessage('close' satisfies ToWorker<EmbedItem>)
  const refused = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: { ...settings, providers: ['cuda'] },
  })

  const [error] = (await once(refused, 'error').catch((cause) => [cause])) as [Error]

  assert.deepEqual(ready, { ready: 'cpu' })
  assert.match(error.message, /no execution provider works with .*model\.onnx: cuda: /)
})

test('an int8 model gives a text another vector in company: such models are never batched', async () => {
  const texts = ['a freshet', 'the flood of a river from heavy rain or melted snow']
  const items = texts.map((text) => item(text, true))

  const together = await answersOf({ paddedTokensMax: 1_000 }, items)
  const alone = await answersOf({ paddedTokensMax: null }, items)

  const cosines = texts.map((_, at) => cosine(together[at]!, alone[at]!))
  assert.ok(
    cosines.every((each) => each < 0.99999 && each > 0.9),
    `cosines ${cosines}`,
  )
  assert.deepEqual(
    together.map((each) => isEmbedded(each) && each.batch),
    [2, 2],
  )
})

function cosine(a: Said<Embedded>, b: Said<Embedded>): number {
  assert.ok(isEmbedded(a) && isEmbedded(b))
  return a.vector.reduce((sum, value, d) => sum + value * (b as Embedded).vector[d]!, 0)
}

const item = (text: string, cut: boolean): EmbedItem => ({ text, cut })

async function start(changes: Partial<WorkerSettings>) {
  const directory = join(modelsDir, 'all-minilm-l6-v2-q', '1')
  const settings: WorkerSettings = {
    onnxPath: join(directory, 'model.onnx'),
    tokenizerJson: await readFile(join(directory, 'tokenizer.json'), 'utf8'),
    pooling: 'mean',
    dimensions: 384,
    maxTokens: 256,
    providers: ['cpu'],
    paddedTokensMax: null,
    ...changes,
  }
  return { settings, worker: new Worker(new URL('./worker.ts', import.meta.url), { workerData: settings }) }
}

async function answersOf(changes: Partial<WorkerSettings>, items = [item('a freshet', true)]) {
  const { worker } = await start(changes)
  assert.deepEqual(await once(worker, 'message'), [{ ready: 'cpu' }])
  worker.postMessage({ id: 1, items } satisfies ToWorker<EmbedItem>)
  const [answer] = (await once(worker, 'message')) as [FromWorker<Embedded>]
  worker.postMessage('close' satisfies ToWorker<EmbedItem>)
  await once(worker, 'exit')
  assert.ok('answers' in answer)
  return answer.answers
}

const isEmbedded = (said: Said<Embedded>): said is Embedded => 'vector' in said
