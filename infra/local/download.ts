import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { createInterface } from 'node:readline'

export interface DownloadOptions {
  readonly cwd: string
  readonly log: string
  readonly signal: AbortSignal
  /** Called with the name of each file that has come over the network, and its size in bytes. */
  downloaded(what: string, bytes: number): void
}

const tailLines = 12

/** Runs Maven or pip. Rejects with the end of what it printed; all of it is in the log. */
export async function runDownload(file: string, args: readonly string[], options: DownloadOptions): Promise<void> {
  mkdirSync(dirname(options.log), { recursive: true })
  const log = createWriteStream(options.log, { flags: 'a' })
  const child = spawn(file, args, {
    cwd: options.cwd,
    signal: options.signal,
    stdio: ['ignore', 'pipe', 'pipe'],
    // Most of what Maven does here is to start.
    env: { ...process.env, MAVEN_OPTS: `-XX:+UseSerialGC -XX:TieredStopAtLevel=1 ${process.env.MAVEN_OPTS ?? ''}` },
  })
  const tail: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => {
      log.write(`${line}\n`)
      if (tail.push(line) > tailLines) tail.shift()
      const found = downloadIn(line)
      if (found !== null) options.downloaded(found.what, found.bytes)
    })
  }
  try {
    const [code] = await once(child, 'close')
    if (code !== 0) throw new Error(`${file} ended with exit code ${code} (log: ${options.log}):\n${tail.join('\n')}`)
  } finally {
    log.end()
  }
}

const units: Readonly<Record<string, number>> = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9 }

/** Reads `Downloaded from central: https://…/a.jar (1.2 MB at 3.4 MB/s)` of Maven, and `Downloading a.whl (1.2 MB)` of pip. */
export function downloadIn(line: string): { what: string; bytes: number } | null {
  const found = /Download(?:ed from \S+:|ing) (\S+) \(([\d.]+) ([kKMG]?B)(?: at [^)]+)?\)/.exec(line)
  if (found === null) return null
  const [, path = '', size, unit = ''] = found
  return {
    what: path.slice(path.lastIndexOf('/') + 1),
    bytes: Math.round(Number(size) * (units[unit.toUpperCase()] ?? 1)),
  }
}
