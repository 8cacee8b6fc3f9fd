import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { repositoryDir } from './settings.ts'

/** Runs Biome, TypeScript and dependency-cruiser over the sources. Resolves with a line for the reader; rejects with what they found. */
export async function checkSources(): Promise<string> {
  const folders = sourceFolders()
  const results = await Promise.all([
    check('biome', ['check', '.'], /Checked (\d+) files/),
    check('tsc', [], null),
    // The page has a document, which nothing else of ours has.
    check('tsc', ['--project', 'console'], null),
    check('depcruise', ['--config', '.dependency-cruiser.cjs', ...folders], /\((\d+) modules/),
  ])
  const faults = results.flatMap(({ fault }) => (fault === null ? [] : [fault]))
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return `no faults found by ${results.map(({ line }) => line).join(', ')}`
}

interface CheckResult {
  readonly line: string
  readonly fault: string | null
}

/** `counts` finds how much was looked at: a check that is green without having looked at anything is a fault. */
async function check(name: string, args: readonly string[], counts: RegExp | null): Promise<CheckResult> {
  const child = spawn(join(repositoryDir, 'node_modules', '.bin', name), args, {
    cwd: repositoryDir,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, PATH: `${dirname(process.execPath)}${delimiter}${process.env.PATH ?? ''}` },
  })
  const output: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => output.push(chunk))
  const [code] = await once(child, 'close')
  const text = Buffer.concat(output).toString('utf8').trim()
  if (code !== 0) return { line: name, fault: `${name} (exit code ${code}):\n${text}` }
  if (counts === null) return { line: name, fault: null }
  const count = Number(counts.exec(text)?.[1] ?? 0)
  return { line: `${name} (${count})`, fault: count > 0 ? null : `${name} has looked at nothing:\n${text}` }
}

/** Those of tsconfig.json that are there. */
function sourceFolders(): readonly string[] {
  const { include } = JSON.parse(readFileSync(join(repositoryDir, 'tsconfig.json'), 'utf8')) as { include: string[] }
  return include.filter((folder) => existsSync(join(repositoryDir, folder)))
}
