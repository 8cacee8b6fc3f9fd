/**
 * Runs one of our TypeScript programs with the Node that it needs, after installing the packages if they are not what package-lock.json
 * says. Plain JavaScript without dependencies: it runs under the machine's own Node (20.17 or newer), on a fresh clone.
 */
import { spawn } from 'node:child_process'
import { existsSync, lstatSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { lock } from './lock.js'
import { onPath, requirePrerequisites } from './prerequisites.js'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '../..')
const ownNode = join(root, 'node_modules', 'node', 'bin', 'node')

/** `entry` is a path in the repository. `needsStack`: the program will set up the local stack, so its needs are checked before any download. */
export async function bootstrap({ entry, args, needsStack }) {
  try {
    if (!packagesCurrent()) {
      requirePrerequisites(['node', 'npm', ...(needsStack ? stackNeeds() : [])])
      await installPackages()
    }
    linkCommand()
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : error}\n`)
    process.exitCode = 1
    return
  }
  endWithNpm()
  const program = join(root, entry)
  if (runsTypeScript(process.versions.node)) {
    process.argv.splice(1, process.argv.length, program, ...args)
    await import(pathToFileURL(program).href)
  } else {
    runWithOwnNode(program, args)
  }
}

/**
 * npm sends a SIGTERM on to its shell, which does not send it on to us; and after a kill -9 nobody tells us. So what npm has started asks
 * itself to end when its parent is another. (Without npm, to outlive the shell may be what is wanted.)
 */
function endWithNpm() {
  if (process.env.npm_command === undefined) return
  const parent = process.ppid
  const timer = setInterval(() => {
    if (process.ppid === parent) return
    clearInterval(timer)
    process.kill(process.pid, 'SIGTERM')
  }, parentPollMs)
  timer.unref()
}

const parentPollMs = 500

/** Node 22.18, 23.6 and 24 run TypeScript as it is. */
export function runsTypeScript(version) {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major >= 24 || (major === 23 && minor >= 6) || (major === 22 && minor >= 18)
}

function stackNeeds() {
  const external = process.env.FRESHET_QDRANT_URL || onPath('qdrant')
  return ['java', 'maven', ...(external ? [] : ['python'])]
}

function packagesCurrent() {
  return existsSync(ownNode) && samePackages()
}

/** npm writes its own lock file into node_modules when it is done, so a broken installation has none. */
function samePackages() {
  try {
    const wanted = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')).packages
    const found = JSON.parse(readFileSync(join(root, 'node_modules', '.package-lock.json'), 'utf8')).packages
    return packagesMatch(wanted, found)
  } catch {
    return false
  }
}

/** Packages of other platforms and extraneous ones of this machine are no difference. */
export function packagesMatch(wanted, found) {
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) return true
    const there = found[path]
    if (there === undefined) return entry.optional === true || entry.devOptional === true || entry.peer === true
    return there.version === entry.version && there.integrity === entry.integrity
  })
}

const outputLines = 20

async function installPackages() {
  const folder = join(root, '.freshet')
  mkdirSync(folder, { recursive: true })
  const release = await lock(join(folder, 'packages.lock'), (pid) =>
    process.stderr.write(`waiting for process ${pid}, which installs the packages\n`),
  )
  try {
    if (packagesCurrent()) return
    process.stderr.write('installing the packages\n')
    const began = Date.now()
    const args = ['ci', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']
    const { code, output } = await run('npm', args)
    writeFileSync(join(folder, 'npm.log'), output)
    if (code !== 0) {
      // npm says first what is wrong, then lists all its options.
      const head = output.trim().split('\n').slice(0, outputLines).join('\n')
      throw new Error(
        `${head}\nthe packages could not be installed (npm ci: exit code ${code}; log: ${join(folder, 'npm.log')})`,
      )
    }
    if (!existsSync(ownNode)) {
      throw new Error('npm did not run the install script of the package node; allow it, then: npm rebuild node')
    }
    process.stderr.write(`packages installed in ${((Date.now() - began) / 1000).toFixed(1)} s\n`)
  } finally {
    release()
  }
}

function run(file, args) {
  return new Promise((resolve, reject) => {
    // npm 11 leaves out the install script of onnxruntime-node by `allowScripts`; to older ones this says that no CUDA is wanted.
    const env = { npm_config_onnxruntime_node_install: 'skip', ...process.env }
    const child = spawn(file, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
    const chunks = []
    child.stdout.on('data', (chunk) => chunks.push(chunk))
    child.stderr.on('data', (chunk) => chunks.push(chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, output: Buffer.concat(chunks).toString('utf8') }))
  })
}

/** npm does not link a package's own command, so `npx freshet` would install the package into npm's cache each time. */
function linkCommand() {
  const link = join(root, 'node_modules', '.bin', 'freshet')
  if (lstatSync(link, { throwIfNoEntry: false })) return
  try {
    mkdirSync(dirname(link), { recursive: true })
    symlinkSync('../../cli/freshet.js', link)
  } catch (error) {
    if (error.code !== 'EEXIST') throw error
  }
}

function runWithOwnNode(program, args) {
  // The channel tells the program when this process is gone, even by kill -9.
  const child = spawn(ownNode, [program, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'ipc'] })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => {
    process.stderr.write(`${ownNode}: ${error.message}\n`)
    process.exitCode = 1
  })
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}
