import { parentPort, workerData } from 'node:worker_threads'
import ort from 'onnxruntime-node'
import { batchesOf } from './batches.ts'
import { openSession, type SessionSettings } from './onnx-session.ts'
import type { Answered, FromWorker, Said, ToWorker } from './pool.ts'
import { createTokenizer } from './tokenizer.ts'

/** What a worker is started with. */
export interface WorkerSettings extends SessionSettings {
  readonly tokenizerJson: string
  readonly pooling: 'mean' | 'cls'
  readonly dimensions: number
  readonly maxTokens: number
  /** Tokens of a batch, with those that only fill rows up; null: one text per run. */
  readonly paddedTokensMax: number | null
}

export interface EmbedItem {
  readonly text: string
  /** A text that is longer than the model takes: its start is embedded, or it is at fault. */
  readonly cut: boolean
}

export interface Embedded extends Answered {
  readonly vector: Float32Array<ArrayBuffer>
  /** Rows of the run that it was in, and the tokens that filled its row up. */
  readonly batch: number
  readonly padding: number
}

/**
 * A thread with one session of one intra-op thread, one text per run: quantised models give a text other bytes in other company,
 * and on a CPU nothing is faster. `session.run` blocks this thread; meanwhile the next text is tokenised in libuv's pool.
 */
async function main(settings: WorkerSettings): Promise<void> {
  const tokenizer = createTokenizer(settings.tokenizerJson)
  const { session, provider } = await openSession(settings)
  let last: Promise<unknown> = Promise.resolve()
  parentPort!.on('message', (message: ToWorker<EmbedItem>) => {
    if (message === 'close') {
      last = last.then(() => parentPort!.close())
      return
    }
    const tokenised = Promise.all(message.items.map(({ text }) => tokenizer.ids(text, settings.maxTokens)))
    tokenised.catch(() => {})
    last = last.then(() => answer(session, settings, message.id, message.items, tokenised))
  })
  parentPort!.postMessage({ ready: provider } satisfies FromWorker<Embedded>)
}

type Tokens = Awaited<ReturnType<ReturnType<typeof createTokenizer>['ids']>>

async function answer(
  session: ort.InferenceSession,
  settings: WorkerSettings,
  id: number,
  items: readonly EmbedItem[],
  tokenised: Promise<readonly Tokens[]>,
): Promise<void> {
  const answers: Said<Embedded>[] = []
  try {
    const tokens = await tokenised
    const whole: number[] = []
    for (const [at, { truncated, count }] of tokens.entries()) {
      if (truncated && !items[at]!.cut)
        answers[at] = { fault: `has ${count} tokens, and the model takes ${settings.maxTokens}` }
      else whole.push(at)
    }
    const lengths = whole.map((at) => tokens[at]!.ids.length)
    const batches =
      settings.paddedTokensMax === null ? lengths.map((_, i) => [i]) : batchesOf(lengths, settings.paddedTokensMax)
    for (const batch of batches)
      await run(
        session,
        settings,
        batch.map((i) => whole[i]!),
        tokens,
        answers,
      )
  } catch (cause) {
    const error = cause instanceof Error ? cause.message : String(cause)
    for (let at = 0; at < items.length; at++) answers[at] ??= { error }
  }
  const buffers = answers.flatMap((each) => ('vector' in each ? [each.vector.buffer] : []))
  parentPort!.postMessage({ id, answers } satisfies FromWorker<Embedded>, buffers)
}

/** One run of the model over the rows `batch`, each filled up to the longest. */
async function run(
  session: ort.InferenceSession,
  settings: WorkerSettings,
  batch: readonly number[],
  tokens: readonly Tokens[],
  answers: Said<Embedded>[],
): Promise<void> {
  const rows = batch.map((at) => tokens[at]!.ids)
  const length = Math.max(...rows.map((ids) => ids.length))
  const before = process.threadCpuUsage()
  const { last_hidden_state: output } = await session.run(feedsOf(rows, length))
  const { user, system } = process.threadCpuUsage(before)
  if (!output) throw new Error('the model has no output last_hidden_state')
  const dimensions = output.dims.at(-1)!
  if (dimensions !== settings.dimensions)
    throw new Error(`the model's vectors have ${dimensions} dimensions, expected ${settings.dimensions}`)
  const data = output.data as Float32Array
  for (const [row, at] of batch.entries()) {
    const { ids, truncated } = tokens[at]!
    const hidden = data.subarray(row * length * dimensions, (row + 1) * length * dimensions)
    const vector = pool(hidden, settings.pooling === 'cls' ? 1 : ids.length, dimensions)
    const runMs = (user + system) / 1_000 / batch.length
    answers[at] = { vector, tokens: ids.length, truncated, runMs, batch: batch.length, padding: length - ids.length }
  }
  output.dispose()
}

function feedsOf(rows: readonly (readonly number[])[], length: number): Record<string, ort.Tensor> {
  const dims = [rows.length, length]
  const ids = new BigInt64Array(rows.length * length)
  const mask = new BigInt64Array(rows.length * length)
  for (const [row, each] of rows.entries()) {
    const start = row * length
    for (let i = 0; i < each.length; i++) ids[start + i] = BigInt(each[i]!)
    mask.fill(1n, start, start + each.length)
  }
  return {
    input_ids: new ort.Tensor('int64', ids, dims),
    attention_mask: new ort.Tensor('int64', mask, dims),
    token_type_ids: new ort.Tensor('int64', new BigInt64Array(rows.length * length), dims),
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
