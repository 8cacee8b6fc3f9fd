import type { Part } from '../part-process.ts'
import { repositoryDir } from '../settings.ts'
import { requireOk } from './http.ts'

/** One of Freshet's own processes, run by the Node that runs us. */
export interface Role {
  readonly name: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Answers a GET with success when it serves. */
  readonly readyUrl: string
}

export function rolePart({ name, args, env = {}, readyUrl }: Role, infrastructure: readonly string[]): Part {
  return {
    name,
    needs: infrastructure.filter((each) => each !== 'connect'),
    uses: infrastructure.filter((each) => each === 'connect'),
    startMsMax: 60_000,
    stopMsMax: 20_000,
    command: () => ({ file: process.execPath, args, env, cwd: repositoryDir }),
    ready: async (signal) => await requireOk(readyUrl, signal),
  }
}
