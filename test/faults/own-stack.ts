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
}

export async function ownStack(): Promise<OwnStack> {
  const { toolsDir, portBase: shared } = localSettings(process.env)
  const portBase = await freeBase(Math.min(shared + OWN_BASE_DISTANCE, OWN_BASE_MAX))
  const dataDir = mkdtempSync(join(tmpdir(), 'freshet-faults-'))
  const stack = await startStack({ portBase, dataDir, toolsDir, parts: ['kafka', 'registry'], report() {} })
  return {
    portBase,
    dataDir,
    stack,
    async [Symbol.asyncDispose]() {
      await stack.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Far enough from the shared stack, and from what other tests start beside it. */
const OWN_BASE_DISTANCE = 1_000
const OWN_BASE_MAX = 60_000
