import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { type JvmProgram, jvm } from './jvm.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'jvm-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

test('the class archive that one run leaves is used by the next', () => {
  const first = jvm(program(), folder)
  writeFileSync(draftOf(first.command.args), 'classes')

  first.ended(true)
  const { args } = jvm(program(), folder).command

  assert.ok(args.some((arg) => arg.startsWith('-XX:SharedArchiveFile=') && existsSync(arg.slice(arg.indexOf('=') + 1))))
  assert.ok(args.includes('-Xshare:auto'))
})

test('a run that was killed leaves no archive', () => {
  const first = jvm(program(), folder)
  writeFileSync(draftOf(first.command.args), 'half the cla')

  first.ended(false)

  assert.deepEqual(readdirSync(folder), [])
})

test('a damaged archive is thrown away and made again', () => {
  const first = jvm(program(), folder)
  writeFileSync(draftOf(first.command.args), 'classes')
  first.ended(true)
  const [archive = ''] = readdirSync(folder)
  writeFileSync(join(folder, archive), 'clas')

  const { args } = jvm(program(), folder).command

  assert.notEqual(draftOf(args), '')
  assert.deepEqual(readdirSync(folder), [])
})

test('what a killed supervisor has left unfinished is removed', () => {
  writeFileSync(join(folder, `kafka-0123456789ab.draft-${2 ** 22}`), 'half the cla')
  writeFileSync(join(folder, `kafka-0123456789ab.draft-${process.pid}`), 'being written')

  jvm(program(), folder)

  assert.deepEqual(readdirSync(folder), [`kafka-0123456789ab.draft-${process.pid}`])
})

test('another class path has another archive', () => {
  const drafts = ['/jars/a/*', '/jars/b/*'].map((path) => draftOf(jvm(program(path), folder).command.args))

  assert.notEqual(drafts[0], drafts[1])
})

function program(classPath = '/jars/a/*'): JvmProgram {
  return { name: 'kafka', heapMiBMax: 64, launch: ['-cp', classPath, 'Main'], args: [], properties: {}, cwd: folder }
}

/** Where this command line makes the JVM write an archive, or nothing. */
function draftOf(args: readonly string[]): string {
  return args.find((arg) => arg.startsWith('-XX:ArchiveClassesAtExit='))?.replace(/^[^=]*=/, '') ?? ''
}
