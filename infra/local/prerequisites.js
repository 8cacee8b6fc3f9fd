/** What the machine must have before anything is downloaded. Plain JavaScript: it runs under the machine's own Node. */
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'

/** `node` needs Node and npm; `java`, `maven` and `python` make the local stack. */
const requirements = {
  node: {
    name: 'Node.js 20.17 or newer',
    found: (probe) => versionOf(probe('node', ['--version'])),
    least: [20, 17],
    debian: 'sudo apt-get install -y npm && sudo npm install -g n && sudo n 24',
    macos: 'brew install node',
  },
  npm: {
    name: 'npm 10 or newer',
    found: (probe) => versionOf(probe('npm', ['--version'])),
    least: [10],
    debian: 'sudo apt-get install -y npm && sudo npm install -g npm@11',
    macos: 'brew install node',
  },
  java: {
    name: 'Java 17 or newer',
    found: (probe) => versionOf(probe(javaFile(), ['-version'])),
    least: [17],
    debian: 'sudo apt-get install -y openjdk-17-jre-headless || sudo apt-get install -y default-jre-headless',
    macos: 'brew install --cask temurin@21',
  },
  maven: {
    name: 'Maven 3.6 or newer',
    found: (probe) => versionOf(probe('mvn', ['--version'])),
    least: [3, 6],
    debian: 'sudo apt-get install -y maven',
    macos: 'brew install maven',
  },
  python: {
    name: 'Python 3.10 or newer with venv and ensurepip',
    found: (probe) => pythonFound(probe)?.version ?? null,
    least: [3, 10],
    debian: 'sudo apt-get install -y python3 python3-venv',
    macos: 'brew install python3',
  },
}

/** Throws an error that names all that is missing, each with the command that installs it. */
export function requirePrerequisites(names, { probe = runProgram, platform = process.platform } = {}) {
  const faults = names.flatMap((name) => {
    const { name: title, found, least, debian, macos } = requirements[name]
    const version = found(probe)
    if (version !== null && atLeast(version, least)) return []
    const state = version === null ? 'not found' : `found ${version.join('.')}`
    return [{ text: `${title} (${state})`, debian, macos }]
  })
  if (faults.length === 0) return
  const lines = faults.flatMap(({ text, debian, macos }) => [
    `  ${text}`,
    ...(platform === 'darwin' ? [] : [`    Debian, Ubuntu:  ${debian}`]),
    ...(platform === 'linux' ? [] : [`    macOS:           ${macos}`]),
  ])
  throw new Error(`this machine lacks something that Freshet needs:\n${lines.join('\n')}`)
}

export function javaFile(env = process.env) {
  return env.JAVA_HOME ? join(env.JAVA_HOME, 'bin', 'java') : 'java'
}

/** The first Python that will do: its command, and its version. */
export function pythonFound(probe = runProgram) {
  const script = 'import sys, venv, ensurepip; print("%d.%d.%d" % sys.version_info[:3])'
  for (const file of ['python3', ...[14, 13, 12, 11, 10].map((minor) => `python3.${minor}`)]) {
    const version = versionOf(probe(file, ['-c', script]))
    if (version !== null && atLeast(version, requirements.python.least)) return { file, version }
  }
  return null
}

/** Whether a program is on the PATH. */
export function onPath(file, env = process.env) {
  return (env.PATH ?? '').split(delimiter).some((folder) => folder !== '' && existsSync(join(folder, file)))
}

/** What it prints, or null if it is not there or fails. */
function runProgram(file, args) {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: 'utf8', timeout: 30_000 })
  return status === 0 ? `${stdout}${stderr}` : null
}

function versionOf(text) {
  // Maven prints in bold even into a pipe.
  const found = stripVTControlCharacters(text ?? '').match(/(\d+)(?:\.(\d+))?(?:\.(\d+))?/)
  return found ? found.slice(1).filter(Boolean).map(Number) : null
}

function atLeast(version, least) {
  for (const [index, wanted] of least.entries()) {
    const have = version[index] ?? 0
    if (have !== wanted) return have > wanted
  }
  return true
}
