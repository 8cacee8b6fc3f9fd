import { parentPort, workerData } from 'node:worker_threads'
import type { Answered, FromWorker, Said, ToWorker } from './pool.ts'

/**
 * A worker without a model, for the pool's tests: it answers with the text's length and its own count of texts. Some texts are orders:
 * `die` ends the thread, `fail` answers with an error, `fault` with a fault, `hold` blocks the thread until the gate opens.
 */
const gate = new Int32Array(workerData as SharedArrayBuffer)
let count = 0
let last: Promise<unknown> = Promise.resolve()

export interface Counted extends Answered {
  readonly length: number
  readonly count: number
  /** How many came together. */
  readonly together: number
}

parentPort!.on('message', (message: ToWorker<string>) => {
  last = last.then(() => {
    if (message === 'close') return parentPort!.close()
    const answers = message.items.map((text) => answer(text, message.items.length))
    parentPort!.postMessage({ id: message.id, answers } satisfies FromWorker<Counted>)
  })
})
parentPort!.postMessage({ ready: 'none' } satisfies FromWorker<Counted>)

function answer(text: string, together: number): Said<Counted> {
  if (text.startsWith('die')) process.exit(7)
  if (text.startsWith('hold')) Atomics.wait(gate, 0, 0)
  count += 1
  if (text.startsWith('fail')) return { error: 'no such luck' }
  if (text.startsWith('fault')) return { fault: 'is at fault' }
  return { length: text.length, count, together, tokens: text.length, truncated: false, runMs: 1 }
}
