import { parentPort, workerData } from 'node:worker_threads'
import type { FromWorker, ToWorker } from './worker.ts'

/**
 * A worker without a model, for the pool's tests: the vector is the text's length and this thread's count of texts. Some texts
 * are orders: `die` ends the thread, `fail` answers with an error, `hold` blocks the thread until the gate opens.
 */
const gate = new Int32Array(workerData as SharedArrayBuffer)
let count = 0
let last: Promise<unknown> = Promise.resolve()

parentPort!.on('message', (message: ToWorker) => {
  last = last.then(() => (message === 'close' ? parentPort!.close() : answer(message.id, message.text)))
})
parentPort!.postMessage('ready' satisfies FromWorker)

function answer(id: number, text: string): void {
  if (text.startsWith('die')) process.exit(7)
  if (text.startsWith('hold')) Atomics.wait(gate, 0, 0)
  count += 1
  const vector = Float32Array.of(text.length, count)
  const answer = { id, vector, tokens: text.length, truncated: false, runMs: 1 }
  parentPort!.postMessage((text.startsWith('fail') ? { id, error: 'no such luck' } : answer) satisfies FromWorker)
}
