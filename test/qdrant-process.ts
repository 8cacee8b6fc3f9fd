import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { reachable } from '../infra/local/parts/qdrant.ts'
import { localSettings, repositoryDir } from '../infra/local/settings.ts'
import { setUp } from '../infra/local/setup.ts'
import { freePort, startProcess, type TestProcess } from './process.ts'

/** A Qdrant of the test's own, on one port and folder for its life, to be killed, started again and set back. */
export interface OwnQdrant extends AsyncDisposable {
  readonly url: string
  /** It may have ended by itself. */
  runs(): boolean
  start(): Promise<void>
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  /** Keeps a copy of its folder; it must not run. */
  copy(): void
  /** Puts the copy in the place of its folder; it must not run. */
  restore(): void
  /** Leaves nothing in its folder; it must not run. */
  empty(): void
}

/** `where`: the folder in which its own is made. */
export async function ownQdrant(where: string = tmpdir()): Promise<OwnQdrant> {
  const { toolsDir, dataDir } = localSettings(process.env)
  const signal = new AbortController().signal
  const tools = setUp({ toolsDir, tools: ['python'], logDir: join(dataDir, 'logs'), signal, report: () => {} })
  const python = await tools.python
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const home = mkdtempSync(join(where, 'freshet-qdrant-'))
  const [folder, copied] = [join(home, 'data'), join(home, 'copy')]
  let server: TestProcess | null = null
  mkdirSync(folder)
  return {
    url,
    runs: () => server?.runs() ?? false,
    async start() {
      const facade = join(repositoryDir, 'infra', 'local', 'qdrant', 'server.py')
      const args = [facade, '--host', '127.0.0.1', '--port', String(port), '--path', folder]
      server = startProcess('qdrant', join(python, 'bin', 'python'), args)
      await server.ready(() => reachable(url))
    },
    async stop(how) {
      await server?.kill(how)
      server = null
    },
    copy() {
      rmSync(copied, { recursive: true, force: true })
      cpSync(folder, copied, { recursive: true })
    },
    restore() {
      rmSync(folder, { recursive: true })
      cpSync(copied, folder, { recursive: true })
    },
    empty() {
      rmSync(folder, { recursive: true })
      mkdirSync(folder)
    },
    async [Symbol.asyncDispose]() {
      await server?.[Symbol.asyncDispose]()
      rmSync(home, { recursive: true })
    },
  }
}
