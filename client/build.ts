import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

export interface Built {
  readonly files: number
  readonly bytes: number
  /** Of all files together, as a page would load them bundled. */
  readonly gzipBytes: number
}

/** Writes the package's JavaScript, without comments, and its declarations, with them: `node client/build.ts`. */
export async function build(outDir = join(here, 'dist')): Promise<Built> {
  rmSync(outDir, { recursive: true, force: true })
  await compile(outDir, ['--removeComments', '--declaration', 'false'])
  await compile(outDir, ['--emitDeclarationOnly'])
  const names = readdirSync(outDir).filter((name) => name.endsWith('.js'))
  const texts = names.map((name) => readFileSync(join(outDir, name)))
  const all = Buffer.concat(texts)
  return { files: names.length, bytes: all.length, gzipBytes: gzipSync(all, { level: 9 }).length }
}

const here = import.meta.dirname

async function compile(outDir: string, args: readonly string[]): Promise<void> {
  const tsc = join(here, '..', 'node_modules', 'typescript', 'bin', 'tsc')
  const child = spawn(process.execPath, [tsc, '-p', here, '--outDir', outDir, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const output: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => output.push(chunk))
  const [code] = (await once(child, 'close')) as [number]
  if (code !== 0) throw new Error(`the SDK does not compile:\n${Buffer.concat(output).toString('utf8')}`)
}

if (import.meta.main) {
  const { files, bytes, gzipBytes } = await build()
  console.log(`client/dist: ${files} files, ${bytes} bytes, ${gzipBytes} with gzip`)
}
