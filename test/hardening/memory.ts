import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What this process really holds, MiB: what nobody holds any more is collected first. */
export async function heldMiB(): Promise<number> {
  // What was closed lets go of its buffers in later turns.
  for (let i = 0; i < 3; i++) {
    await delay(10)
    collect()
  }
  const { heapUsed, external } = process.memoryUsage()
  return (heapUsed + external) / 2 ** 20
}
