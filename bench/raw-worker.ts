import { parentPort, workerData } from 'node:worker_threads'
import ort from 'onnxruntime-node'

/**
 * The ceiling: `session.run` over token ids that are there already, and nothing else. The threads take from one list by a
 * shared counter.
 */
const { onnxPath, counter } = workerData as { onnxPath: string; counter: Int32Array }
const session = await ort.InferenceSession.create(onnxPath, {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
})

parentPort!.on('message', async (texts: readonly (readonly number[])[] | 'close') => {
  if (texts === 'close') return parentPort!.close()
  const before = process.threadCpuUsage()
  for (let i = Atomics.add(counter, 0, 1); i < texts.length; i = Atomics.add(counter, 0, 1)) {
    const ids = texts[i]!
    const dims = [1, ids.length]
    const output = await session.run({
      input_ids: new ort.Tensor('int64', BigInt64Array.from(ids, BigInt), dims),
      attention_mask: new ort.Tensor('int64', new BigInt64Array(ids.length).fill(1n), dims),
      token_type_ids: new ort.Tensor('int64', new BigInt64Array(ids.length), dims),
    })
    output.last_hidden_state!.dispose()
  }
  const { user, system } = process.threadCpuUsage(before)
  parentPort!.postMessage((user + system) / 1e6)
})
parentPort!.postMessage('ready')
