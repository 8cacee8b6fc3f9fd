import type { BenchContext } from './bench.ts'
import { paragraphs } from './corpus.ts'
import { ownEngine, type Platform } from './platform.ts'
import { rawLoop } from './raw-loop.ts'
import type { Figure } from './report.ts'
import { cpuByThread } from './usage.ts'

/**
 * From the first record of `documents` to the last receipt in `indexed`, in turn with the bare model on the same texts and
 * as many threads. Of the CPU that the worker and the query service use meanwhile: how much is spent inside the model.
 */
export async function throughput({ rounds, documents, threads, stack, open, say }: BenchContext): Promise<Figure[]> {
  const corpus = paragraphs(documents + WARM_UP)
  const engine = await ownEngine(stack, 1)
  const texts: string[] = []
  for (const { text } of corpus.slice(WARM_UP)) for (const chunk of await engine.split(text)) texts.push(chunk.text)
  await engine.close()
  await using raw = await rawLoop(stack.modelsDir, texts, threads)
  await raw.run(WARM_UP)
  const figures = new Map<string, Figure & { readonly values: number[] }>()
  const note = (name: string, unit: string, value: number, aim?: Figure['aim']) => {
    if (!figures.has(name)) figures.set(name, { name, unit, values: [], ...(aim && { aim }) })
    figures.get(name)!.values.push(value)
  }
  for (let round = 1; round <= rounds; round++) {
    const alone = await raw.run()
    const bulk = await bulkRound(await open('throughput'), corpus)
    const per1000 = 1_000 / texts.length
    note('documents, end to end', 'per s', documents / bulk.wallS)
    note('chunks, end to end', 'per s', texts.length / bulk.wallS)
    note('chunks, the model alone', 'per s', texts.length / alone.wallS)
    note('end to end ÷ the model alone', '', alone.wallS / bulk.wallS)
    note('CPU of all roles per 1,000 chunks', 's', bulk.cpuS * per1000)
    for (const [name, cpuS] of bulk.parts) note(`of it ${name}`, 's', cpuS * per1000)
    note('CPU of the model alone per 1,000 chunks', 's', alone.cpuS * per1000)
    note('CPU of the model alone ÷ of all roles', '', alone.cpuS / bulk.cpuS)
    note('CPU inside session.run ÷ of all roles', '', bulk.modelCpuS / bulk.cpuS, { atLeast: 0.8 })
    say(
      `round ${round}: ${(documents / bulk.wallS).toFixed(0)} documents/s; raw ${(texts.length / alone.wallS).toFixed(0)} chunks/s`,
    )
  }
  return [...figures.values()]
}

/** Warms up, so that code is compiled and connections are open. */
const WARM_UP = 200

async function bulkRound(opened: Platform, corpus: ReturnType<typeof paragraphs>) {
  await using platform = opened
  const records = corpus.map((document, i) => platform.record(`document-${i}`, document))
  await platform.produce(records.slice(0, WARM_UP))
  await platform.receipts.reached(WARM_UP)

  const before = platform.usage()
  const threadsBefore = cpuByThread(platform.pids.worker)
  const modelBefore = await platform.metric('freshet_embedding_seconds_total')
  const began = performance.now()
  await platform.produce(records.slice(WARM_UP))
  const ended = await platform.receipts.reached(records.length)
  const after = platform.usage()
  const threadsAfter = cpuByThread(platform.pids.worker)
  const modelAfter = await platform.metric('freshet_embedding_seconds_total')

  const threads = (...names: string[]) =>
    names.reduce((sum, name) => sum + (threadsAfter.get(name) ?? 0) - (threadsBefore.get(name) ?? 0), 0)
  const query = after.query.cpuS - before.query.cpuS
  return {
    wallS: (ended - began) / 1_000,
    cpuS: after.worker.cpuS - before.worker.cpuS + query,
    modelCpuS: modelAfter - modelBefore,
    parts: [
      ['the threads that embed', threads('WorkerThread')],
      ['the worker’s event loop', threads('MainThread')],
      ['its tokenizer', threads('libuv-worker')],
      ['its compiler and garbage collector', threads('V8Worker')],
      ['the query service', query],
    ] as const,
  }
}
