import { parentPort, workerData } from 'node:worker_threads'
import ort from 'onnxruntime-node'
import { openSession, type SessionSettings } from './onnx-session.ts'
import type { Answered, FromWorker, Said, ToWorker } from './pool.ts'
import { createTokenizer, type Pair } from './tokenizer.ts'

export interface RerankSettings extends SessionSettings {
  readonly tokenizerJson: string
  readonly maxTokens: number
}

export interface RerankItem {
  readonly query: string
  readonly text: string
}

export interface Scored extends Answered {
  /** From 0 to 1. */
  readonly score: number
}

/** As the thread of an embedding model. One pair per run, since quantised models give a pair other bits in other company. */
async function main(settings: RerankSettings): Promise<void> {
  const tokenizer = createTokenizer(settings.tokenizerJson)
  const { session, provider } = await openSession(settings)
  let last: Promise<unknown> = Promise.resolve()
  parentPort!.on('message', (message: ToWorker<RerankItem>) => {
    if (message === 'close') {
      last = last.then(() => parentPort!.close())
      return
    }
    const { id, items } = message
    const tokenised = items.map(({ query, text }) => tokenizer.pair(query, text, settings.maxTokens))
    for (const each of tokenised) each.catch(() => {})
    last = last.then(async () => {
      const answers: Said<Scored>[] = []
      for (const each of tokenised) answers.push(await scoreOf(session, each))
      parentPort!.postMessage({ id, answers } satisfies FromWorker<Scored>)
    })
  })
  parentPort!.postMessage({ ready: provider } satisfies FromWorker<Scored>)
}

async function scoreOf(session: ort.InferenceSession, tokenised: Promise<Pair>): Promise<Said<Scored>> {
  try {
    const { ids, types, truncated } = await tokenised
    const before = process.threadCpuUsage()
    const outputs = await session.run(feedsOf(session, ids, types))
    const { user, system } = process.threadCpuUsage(before)
    const output = outputs.logits ?? outputs[session.outputNames[0]!]!
    const logits = output.data as Float32Array
    if (logits.length !== 1) throw new Error(`the model has ${logits.length} logits for a pair, expected 1`)
    const score = 1 / (1 + Math.exp(-logits[0]!))
    output.dispose()
    if (!Number.isFinite(score)) throw new Error('the model scored a pair with what is no number')
    return { score, tokens: ids.length, truncated, runMs: (user + system) / 1_000 }
  } catch (cause) {
    return { error: cause instanceof Error ? cause.message : String(cause) }
  }
}

/** Some families of models have no token types. */
function feedsOf({ inputNames }: ort.InferenceSession, ids: readonly number[], types: readonly number[]) {
  const tensorOf = (numbers: readonly number[]) =>
    new ort.Tensor('int64', BigInt64Array.from(numbers, BigInt), [1, numbers.length])
  const all: Record<string, ort.Tensor> = {
    input_ids: tensorOf(ids),
    attention_mask: tensorOf(ids.map(() => 1)),
    token_type_ids: tensorOf(types),
  }
  return Object.fromEntries(inputNames.flatMap((name) => (all[name] === undefined ? [] : [[name, all[name]]])))
}

await main(workerData as RerankSettings)
