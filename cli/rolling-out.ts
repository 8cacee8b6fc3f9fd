import { loadConfig, workerConfig } from '../services/config.ts'
import { spaceIn } from '../services/engine.ts'
import { openRollingOut, type RollingOut } from '../services/rolling-out.ts'

/** The world of a rollout on the platform that the environment names, closed when the work is done. */
export async function withRollingOut<T>(work: (world: RollingOut) => Promise<T>): Promise<T> {
  const config = loadConfig(workerConfig, { env: process.env })
  const world = await openRollingOut(config, spaceIn(config).id)
  try {
    return await work(world)
  } finally {
    await world.close()
  }
}
