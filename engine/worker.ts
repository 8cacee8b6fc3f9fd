import { parentPort, workerData } from 'node:worker_threads'
import ort from 'onnxruntime-node'
import { createTokenizer } from './tokenizer.ts'

/** What a worker is started with. */
export interface WorkerSettings {
  readonly onnxPath: string
  readonly tokenizerJson: string
  readonly pooling: 'mean' | 'cls'
  readonly dimensions: number
  readonly maxTokens: number
}

export type ToWorker = { readonly id: number; readonly text: string } | 'close'
/** The first message says that the model is loaded. Answers come in the order of the questions. */
export type FromWorker = 'ready' | Embedded | { readonly id: number; readonly error: string }

export interface Embedded {
  readonly id: number
  readonly vector: Float32Array<ArrayBuffer>
  readonly tokens: number
  readonly truncated: boolean
  /** CPU inside `session.run`, ms: the clock would count the time that others had the core. */
  readonly runMs: number
}

/**
 * A thread with one session of one intra-op thread, one text per run: quantised models give a text other bytes in other company,
 * and on a CPU nothing is faster. `session.run` blocks this thread; meanwhile the next text is tokenised in libuv's pool.
 */
async function main(settings: WorkerSettings): Promise<void> {
  const tokenizer = createTokenizer(settings.tokenizerJson)
  const session = await ort.InferenceSession.create(settings.onnxPath, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
  })
  let last: Promise<unknown> = Promise.resolve()
  parentPort!.on('message', (message: ToWorker) => {
    if (message === 'close') {
      last = last.then(() => parentPort!.close())
      return
    }
    const tokenised = tokenizer.ids(message.text, settings.maxTokens)
    tokenised.catch(() => {})
    last = last.then(() => answer(session, settings, message.id, tokenised))
  })
  parentPort!.postMessage('ready' satisfies FromWorker)
}

async function answer(
  session: ort.InferenceSession,
  settings: WorkerSettings,
  id: number,
  tokenised: Promise<{ ids: readonly number[]; truncated: boolean }>,
): Promise<void> {
  try {
    const { ids, truncated } = await tokenised
    const before = process.threadCpuUsage()
    const { last_hidden_state: output } = await session.run(feedsOf(ids))
    const { user, system } = process.threadCpuUsage(before)
    if (!output) throw new Error('the model has no output last_hidden_state')
    const dimensions = output.dims.at(-1)!
    if (dimensions !== settings.dimensions)
      throw new Error(`the model's vectors have ${dimensions} dimensions, expected ${settings.dimensions}`)
    const vector = pool(output.data as Float32Array, settings.pooling === 'cls' ? 1 : ids.length, dimensions)
    output.dispose()
    const answer: Embedded = { id, vector, tokens: ids.length, truncated, runMs: (user + system) / 1_000 }
    parentPort!.postMessage(answer, [vector.buffer])
  } catch (cause) {
    const error = cause instanceof Error ? cause.message : String(cause)
    parentPort!.postMessage({ id, error } satisfies FromWorker)
  }
}

function feedsOf(ids: readonly number[]): Record<string, ort.Tensor> {
  const dims = [1, ids.length]
  return {
    input_ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), dims),
    attention_mask: new ort.Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims),
    token_type_ids: new ort.Tensor('int64', new BigInt64Array(ids.length), dims),
  }
}

/** The mean of the first `rows` rows, made one long (its L2 norm is 1). */
function pool(rows: Float32Array, count: number, dimensions: number): Float32Array<ArrayBuffer> {
  const vector = new Float32Array(dimensions)
  for (let row = 0; row < count; row++) {
    const offset = row * dimensions
    for (let d = 0; d < dimensions; d++) vector[d]! += rows[offset + d]!
  }
  let squares = 0
  for (let d = 0; d < dimensions; d++) squares += vector[d]! * vector[d]!
  const scale = 1 / Math.sqrt(squares)
  for (let d = 0; d < dimensions; d++) vector[d]! *= scale
  return vector
}

await main(workerData as WorkerSettings)
