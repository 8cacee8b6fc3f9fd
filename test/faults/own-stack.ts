import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freeBase } from '../../infra/local/ports.ts'
import { localSettings } from '../../infra/local/settings.ts'
import { type Stack, startStack } from '../../infra/local/stack.ts'

/** Kafka and registry that belong to one row, on a port base and in a folder of their own: it may kill, stop and fill them. */
export interface OwnStack extends AsyncDisposable {
  readonly portBase: number
  readonly dataDir: string
  /** `stack.part('kafka').kill('SIGKILL')`, `.restart()`: see infra/local/stack.ts. */
  readonly stack: Stack
  /** Stops what still runs of it, and starts it again where its data lies: a stack of which one part has ended stops as a whole. */
  restart(): Promise<void>
}

/** `folder`: where its data lies. Default: one of its own. */
export async function ownStack(folder: string = tmpdir()): Promise<OwnStack> {
  const { toolsDir, portBase: shared } = localSettings(process.env)
  const portBase = await freeBase(Math.min(shared + OWN_BASE_DISTANCE, OWN_BASE_MAX))
  const dataDir = mkdtempSync(join(folder, 'freshet-faults-'))
  const start = () => startStack({ portBase, dataDir, toolsDir, parts: ['kafka', 'registry'], report() {} })
  let stack = await start()
  return {
    portBase,
    dataDir,
    get stack() {
      return stack
    },
    async restart() {
      await stack.stop()
      stack = await start()
    },
    async [Symbol.asyncDispose]() {
      await stack.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Far enough from the shared stack, and from what other tests start beside it. */
const OWN_BASE_DISTANCE = 1_000
const OWN_BASE_MAX = 60_000
