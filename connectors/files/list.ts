import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'

/** What was given to be read: every file with its size, known before the first is opened. */
export interface Listing {
  readonly files: readonly ListedFile[]
  /** Folders that were given, and whole: what is gone from them is gone. */
  readonly folders: readonly string[]
  readonly problems: readonly Problem[]
  readonly bytes: number
}

export interface ListedFile {
  readonly path: string
  /** The document's id: name of the given folder and the path in it, or the name of the given file. */
  readonly id: string
  /** The given folder that it was found in; null for a file that was itself given. */
  readonly folder: string | null
  readonly bytes: number
  readonly format: Format
}

export interface Problem {
  readonly path: string
  readonly line?: number
  /** What is wrong, and what to do. */
  readonly reason: string
}

export type Format = 'text' | 'markdown' | 'html' | 'jsonl'

const formats: Readonly<Record<string, Format>> = {
  '.txt': 'text',
  '.text': 'text',
  '.md': 'markdown',
  '.markdown': 'markdown',
  '.html': 'html',
  '.htm': 'html',
  '.jsonl': 'jsonl',
  '.ndjson': 'jsonl',
}

export const extensions = Object.keys(formats)

/** Finds the files below the paths, in a fixed order. Of folders, hidden ones and node_modules are left out unless given themselves. */
export async function listFiles(paths: readonly string[]): Promise<Listing> {
  const files: ListedFile[] = []
  const folders: string[] = []
  const problems: Problem[] = []
  for (const given of paths) {
    const path = resolve(given)
    const found = await stat(path).catch(() => null)
    if (found === null) problems.push({ path: given, reason: 'there is no such file or folder; check the path' })
    else if (found.isDirectory()) {
      folders.push(path)
      await walk(path, basename(path), { folder: path, files, problems, seen: new Set([await realpath(path)]) })
    } else {
      const format = formats[extname(path).toLowerCase()]
      if (format === undefined)
        problems.push({
          path: given,
          reason: `files ending in ${extname(path) || 'nothing'} are not read; give ${extensions.join(', ')}`,
        })
      else files.push({ path, id: basename(path), folder: null, bytes: found.size, format })
    }
  }
  return { files, folders, problems, bytes: files.reduce((sum, { bytes }) => sum + bytes, 0) }
}

interface Walk {
  readonly folder: string
  readonly files: ListedFile[]
  readonly problems: Problem[]
  /** Real paths of the folders on the way, so that a link back ends there. */
  readonly seen: ReadonlySet<string>
}

async function walk(path: string, id: string, { folder, files, problems, seen }: Walk): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => null)
  if (entries === null) {
    problems.push({ path, reason: 'the folder cannot be read; check its permissions' })
    return
  }
  for (const { name } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const child = join(path, name)
    const found = await stat(child).catch(() => null)
    if (found?.isDirectory() && !name.startsWith('.') && name !== 'node_modules') {
      const real = await realpath(child)
      if (!seen.has(real))
        await walk(child, `${id}/${name}`, { folder, files, problems, seen: new Set([...seen, real]) })
    }
    const format = formats[extname(name).toLowerCase()]
    if (found?.isFile() && format !== undefined)
      files.push({ path: child, id: `${id}/${name}`, folder, bytes: found.size, format })
  }
}
