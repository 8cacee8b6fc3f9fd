import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, renameSync, rmSync, statSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { identityOf } from '../lock.js'
import type { Command } from '../part-process.ts'
import { javaFile, requirePrerequisites } from '../prerequisites.js'

export interface JvmProgram {
  readonly name: string
  readonly heapMiBMax: number
  /** `-cp PATH CLASS` or `-jar FILE`: with the flags, what a class archive depends on. */
  readonly launch: readonly string[]
  readonly args: readonly string[]
  readonly properties: Readonly<Record<string, string>>
  /** Where it leaves its notes if it dies. */
  readonly cwd: string
}

/** One core's collector and the quick compiler only: half the start-up time and two thirds of the memory of the defaults. */
const flags = ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xms64m']

/**
 * The command of a JVM that reads its classes from an archive (class data sharing), which halves the start again. Where there is no
 * archive yet, the JVM writes one at its end; `ended` then puts it in place, with its digest in its name: the JVM ignores an archive that does
 * not fit, but dies of one that is damaged.
 */
export function jvm(program: JvmProgram, archiveDir: string): { command: Command; ended(clean: boolean): void } {
  const java = javaOnPath()
  const stem = `${program.name}-${archiveKey(program, java)}`
  const draft = join(archiveDir, `${stem}.draft-${process.pid}`)
  mkdirSync(archiveDir, { recursive: true })
  const archive = wholeArchive(archiveDir, stem)
  const quiet = ['-Xlog:cds=off', '-Xlog:cds+dynamic=off', '-Xlog:class+path=off']
  const sharing =
    archive === null ? [`-XX:ArchiveClassesAtExit=${draft}`] : [`-XX:SharedArchiveFile=${archive}`, '-Xshare:auto']
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
      cwd: program.cwd,
    },
    ended(clean) {
      const wanted = clean && existsSync(draft) && wholeArchive(archiveDir, stem) === null
      if (wanted) renameSync(draft, join(archiveDir, `${stem}-${digestOf(draft)}.jsa`))
      rmSync(draft, { force: true })
    },
  }
}

/** The archive of this stem, or null. A damaged one is removed, and so is what others have left unfinished. */
function wholeArchive(archiveDir: string, stem: string): string | null {
  for (const name of readdirSync(archiveDir)) {
    const writer = /\.draft-(\d+)$/.exec(name)?.[1]
    // What a JVM has written whose supervisor was killed.
    if (writer !== undefined && identityOf(Number(writer)) === null) rmSync(join(archiveDir, name), { force: true })
    if (!name.startsWith(`${stem}-`) || !name.endsWith('.jsa')) continue
    const path = join(archiveDir, name)
    if (name === `${stem}-${digestOf(path)}.jsa`) return path
    rmSync(path, { force: true })
  }
  return null
}

function digestOf(path: string): string {
  return createHash('sha256').update(readFileSync(path)).digest('hex').slice(0, 16)
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
