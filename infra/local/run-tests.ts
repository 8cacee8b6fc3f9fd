import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, globSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { reasonOf } from '../../streams/errors.ts'
import { checkSources } from './check-sources.ts'
import { chromiumPath, NO_CHROMIUM } from './chromium.ts'
import { endLeftovers } from './leftovers.ts'
import { identityOf } from './lock.js'
import { freeBase, portsFrom } from './ports.ts'
import { progressReporter } from './progress.ts'
import { runStack } from './run-stack.ts'
import { localSettings, repositoryDir } from './settings.ts'

/**
 * What `npm test` runs: the static checks, then every test of the repository against a stack of its own, which is gone afterwards. Arguments
 * choose test files by a part of their path, and leave the static checks out. The exit code is 0 only if all passed.
 */
const interrupted = 130
const concurrentFilesMax = 2
const fileMsMax = 1_200_000
const firstPortBase = 18_500

const settings = localSettings(process.env)
const dataDir = join(settings.dataDir, `test-${process.pid}`)
const report = progressReporter(process.stderr, { quiet: true })
let outcome = interrupted
try {
  const chosen = process.argv.slice(2)
  const files = testFiles(chosen)
  await removeLeftovers()
  mkdirSync(dataDir, { recursive: true })
  const portBase = await portBaseOf(process.env.FRESHET_TEST_PORT_BASE)
  // The checks run while the stack starts.
  const checked = chosen.length === 0 ? checkSources() : Promise.resolve('static checks left out')
  checked.catch(() => {})
  const failed = await runStack({ ...settings, portBase, dataDir, report }, async (stack, signal) => {
    process.stdout.write(`${await checked}\n`)
    await stack.connectReady
    outcome = await runTests(files, portBase, signal)
    return outcome
  })
  process.exitCode = failed || outcome
} catch (error) {
  process.stderr.write(`${reasonOf(error)}\n`)
  process.exitCode = 1
} finally {
  rmSync(dataDir, { recursive: true, force: true })
}

/** Tests that need a browser are run where there is one; who asks for them and has none is told. */
function testFiles(chosen: readonly string[]): readonly string[] {
  const all = globSync('**/*.test.ts', {
    cwd: repositoryDir,
    exclude: (path) => path === 'node_modules' || path.startsWith('.'),
  })
  const wanted = all.filter((path) => chosen.length === 0 || chosen.some((part) => path.includes(part)))
  const files = wanted.filter((path) => !path.endsWith('.browser.test.ts') || chromiumPath() !== null)
  if (wanted.length > files.length && files.length === 0) throw new Error(NO_CHROMIUM)
  if (wanted.length > files.length) process.stderr.write(`tests in a browser are left out: ${NO_CHROMIUM}\n`)
  if (files.length === 0) throw new Error(`no test file has ${chosen.join(' or ')} in its path`)
  return files.sort()
}

async function runTests(files: readonly string[], portBase: number, signal: AbortSignal): Promise<number> {
  const args = ['--test', `--test-concurrency=${concurrentFilesMax}`, `--test-timeout=${fileMsMax}`, ...files]
  const child = spawn(process.execPath, args, {
    cwd: repositoryDir,
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}`,
      FRESHET_PORT_BASE: String(portBase),
      FRESHET_DATA: dataDir,
      FRESHET_TOOLS: settings.toolsDir,
    },
  })
  const end = () => child.kill('SIGTERM')
  signal.addEventListener('abort', end)
  const [code] = await once(child, 'exit')
  signal.removeEventListener('abort', end)
  return typeof code === 'number' ? code : interrupted
}

async function portBaseOf(wanted: string | undefined): Promise<number> {
  if (wanted === undefined) return await freeBase(firstPortBase)
  portsFrom(Number(wanted))
  return Number(wanted)
}

/** What test runs have left that were killed. */
async function removeLeftovers(): Promise<void> {
  if (!existsSync(settings.dataDir)) return
  for (const name of readdirSync(settings.dataDir)) {
    const pid = /^test-(\d+)$/.exec(name)?.[1]
    if (pid === undefined || identityOf(Number(pid)) !== null) continue
    const folder = join(settings.dataDir, name)
    if (existsSync(join(folder, 'run'))) await endLeftovers(join(folder, 'run'), report)
    rmSync(folder, { recursive: true, force: true })
  }
}
