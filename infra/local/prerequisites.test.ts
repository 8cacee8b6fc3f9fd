import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pythonFound, requirePrerequisites } from './prerequisites.js'

const all = ['node', 'npm', 'java', 'maven', 'python'] as const

/** A machine on which the programs print this. */
function machine(printed: Readonly<Record<string, string>>) {
  return (file: string) => printed[file] ?? null
}

const good = {
  node: 'v20.17.0\n',
  npm: '10.8.2\n',
  java: 'openjdk version "17.0.15" 2025-04-15\nOpenJDK Runtime Environment\n',
  mvn: '\u001b[1mApache Maven 3.6.3\u001b[m\nMaven home: /usr/share/maven\n',
  python3: '3.10.1\n',
}

test('a machine with the least versions of everything will do', () => {
  const probe = machine(good)

  const check = () => requirePrerequisites(all, { probe })

  assert.doesNotThrow(check)
})

test('everything that is missing is named at once, each with the command that installs it', () => {
  const probe = machine({ ...good, java: 'openjdk version "11.0.2"', mvn: '', python3: '3.9.2' })

  const check = () => requirePrerequisites(all, { probe, platform: 'linux' })

  assert.throws(check, (error: Error) => {
    const lines = error.message.split('\n').map((line) => line.trim())
    assert.deepEqual(lines.slice(1), [
      'Java 17 or newer (found 11.0.2)',
      'Debian, Ubuntu:  sudo apt-get install -y openjdk-17-jre-headless || sudo apt-get install -y default-jre-headless',
      'Maven 3.6 or newer (not found)',
      'Debian, Ubuntu:  sudo apt-get install -y maven',
      'Python 3.10 or newer with venv and ensurepip (not found)',
      'Debian, Ubuntu:  sudo apt-get install -y python3 python3-venv',
    ])
    return true
  })
})

test('on a Mac the commands are those of brew', () => {
  const probe = machine({})

  const check = () => requirePrerequisites(['java', 'python'], { probe, platform: 'darwin' })

  assert.throws(check, /brew install --cask temurin@21[\s\S]*brew install python3/)
})

test('only what is asked for is looked for', () => {
  const probe = machine({ node: 'v24.0.0', npm: '11.0.0' })

  const check = () => requirePrerequisites(['node', 'npm'], { probe })

  assert.doesNotThrow(check)
})

test('an older Python is passed over for a newer one beside it', () => {
  const probe = machine({ python3: '3.9.2', 'python3.12': '3.12.4' })

  const found = pythonFound(probe)

  assert.deepEqual(found, { file: 'python3.12', version: [3, 12, 4] })
})
