import { loadConfig, platformConfig } from '../services/config.ts'
import type { Outside } from '../services/outside.ts'

/** Kafka, the registry and Qdrant as the environment says that they are reached, once Kafka answers. */
export function withOutside<T>(work: (outside: Outside) => Promise<T>): Promise<T> {
  return withSomeOutside(async (outside) => {
    await outside.broker.admin.ready(READY_MS)
    return work(outside)
  })
}

/** The same for whoever does not ask Kafka, or asks whether it answers. */
export async function withSomeOutside<T>(work: (outside: Outside) => Promise<T>): Promise<T> {
  // Loaded only by the commands that ask somebody: the others start faster.
  const { openOutside } = await import('../services/outside.ts')
  const outside = openOutside(loadConfig(platformConfig, { env: process.env }), { clientId: 'freshet-cli' })
  try {
    return await work(outside)
  } finally {
    await outside.close()
  }
}

const READY_MS = 5_000
