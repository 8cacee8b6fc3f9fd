import { hashEngine } from '../../engine/hash-engine.ts'
import { loadConfig, workerConfig } from '../../services/config.ts'
import { runWorker } from '../../services/worker/worker.ts'

const thrown = { Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError }

/** What befalls whoever works on a text that says so, as `trouble: aborts the process.` */
const troubles: Record<string, () => unknown> = {
  ...Object.fromEntries(
    Object.entries(thrown).map(([name, Class]) => [
      `throws ${name}`,
      () => {
        throw new Class('of the text itself')
      },
    ]),
  ),
  'throws no error': () => {
    throw undefined
  },
  'aborts the process': () => process.abort(),
  'fills the memory': () => {
    for (const kept: object[] = []; ; ) kept.push(Array.from({ length: 1_000 }, (_, i) => ({ i })))
  },
  'throws where nobody catches': () => {
    setImmediate(() => {
      throw new TypeError('of the text itself, later')
    })
    return new Promise(() => {})
  },
}

/** The worker as it is, but for its engine. */
await runWorker(loadConfig(workerConfig, { env: process.env }), async () => {
  const engine = hashEngine()
  return {
    ...engine,
    async split(text) {
      const [, what] = /trouble: ([\w ]+)/.exec(text) ?? []
      if (what !== undefined) await troubles[what]!()
      return engine.split(text)
    },
  }
})
