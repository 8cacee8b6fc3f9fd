import { hashEngine } from '../engine/hash-engine.ts'
import { loadConfig, workerConfig } from '../services/config.ts'
import { runWorker } from '../services/worker/worker.ts'

/** The worker as it is, with an engine in which a marked text ends the process, as a fault in native code does. */
await runWorker(loadConfig(workerConfig, { env: process.env }), async () => {
  const engine = hashEngine()
  return {
    ...engine,
    async embed(texts, options) {
      if (texts.some((text) => text.includes('ABORT THE PROCESS'))) process.abort()
      return engine.embed(texts, options)
    },
  }
})
