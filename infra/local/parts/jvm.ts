import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import type { Command } from '../part-process.ts'
import { javaFile, requirePrerequisites } from '../prerequisites.js'

export interface JvmProgram {
  readonly name: string
  readonly heapMiBMax: number
  /** `-cp PATH CLASS` or `-jar FILE`: with the flags, what a class archive depends on. */
  readonly launch: readonly string[]
  readonly args: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  readonly cwd?: string
}

/** One core's collector and the quick compiler only: half the start-up time and two thirds of the memory of the defaults. */
const flags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xms64m']

/**
 * The command of a JVM that reads its classes from an archive (class data sharing), which halves the start again. Where there is no
 * archive yet, the JVM writes one at its end; `ended` then puts it in place. One that does not fit is ignored by the JVM.
 */
export function jvm(program: JvmProgram, archiveDir: string): { command: Command; ended(clean: boolean): void } {
  const java = javaOnPath()
  const archive = join(archiveDir, `${program.name}-${archiveKey(program, java)}.jsa`)
  const draft = `${archive}.${process.pid}`
  const found = existsSync(archive)
  mkdirSync(archiveDir, { recursive: true })
  const quiet = ['-Xlog:cds=off', '-Xlog:cds+dynamic=off', '-Xlog:class+path=off']
  const sharing = found ? [`-XX:SharedArchiveFile=${archive}`, '-Xshare:auto'] : [`-XX:ArchiveClassesAtExit=${draft}`]
  const properties = Object.entries(program.properties).map(([name, value]) => `-D${name}=${value}`)
  return {
    command: {
      file: java,
      args: [
        ...flags,
        `-Xmx${program.heapMiBMax}m`,
        ...sharing,
        ...quiet,
        ...properties,
        ...program.launch,
        ...program.args,
      ],
      ...(program.cwd === undefined ? {} : { cwd: program.cwd }),
    },
    ended(clean) {
      if (clean && existsSync(draft)) renameSync(draft, archive)
      rmSync(draft, { force: true })
    },
  }
}

function javaOnPath(): string {
  const java = javaFile()
  if (java !== 'java') return java
  const folder = (process.env.PATH ?? '').split(delimiter).find((each) => each !== '' && existsSync(join(each, 'java')))
  if (folder === undefined) requirePrerequisites(['java'])
  return join(folder ?? '', 'java')
}

/** Another JVM, other jars or other flags make another archive. */
function archiveKey(program: JvmProgram, java: string): string {
  const real = realpathSync(java)
  const runtime = join(dirname(real), '..', 'lib', 'modules')
  const builtMs = existsSync(runtime) ? statSync(runtime).mtimeMs : 0
  const parts = [real, builtMs, ...program.launch, ...flags]
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 12)
}
