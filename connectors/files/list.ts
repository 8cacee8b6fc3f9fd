import type { Dirent } from 'node:fs'
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, extname, join, resolve } from 'node:path'

/** What was given to be read: every file with its size, known before the first is opened. */
export interface Listing {
  /** In the order of the paths given, and of their ids below each. */
  readonly files: readonly ListedFile[]
  /** Folders that were given and could be read whole: what is not there any more is gone. */
  readonly folders: readonly string[]
  readonly problems: readonly Problem[]
  readonly bytes: number
}

export interface ListedFile {
  readonly path: string
  /**
   * The document's id: the name of the given folder and the path in it with forward slashes, or the name of the given file. It is the same in
   * every run, wherever the folder lies; folders of the same name therefore share their ids.
   */
  readonly id: string
  /** The given folder that it was found in; null for a file that was itself given. */
  readonly folder: string | null
  readonly bytes: number
  readonly format: Format
}

export interface Problem {
  readonly path: string
  /** From 1. */
  readonly line?: number
  /** What is wrong, and what to do. */
  readonly reason: string
}

export type Format = 'text' | 'markdown' | 'html' | 'pdf' | 'docx' | 'csv' | 'jsonl'

const formats: ReadonlyMap<string, Format> = new Map([
  ['.txt', 'text'],
  ['.text', 'text'],
  ['.md', 'markdown'],
  ['.markdown', 'markdown'],
  ['.html', 'html'],
  ['.htm', 'html'],
  ['.pdf', 'pdf'],
  ['.docx', 'docx'],
  ['.csv', 'csv'],
  ['.tsv', 'csv'],
  ['.jsonl', 'jsonl'],
  ['.ndjson', 'jsonl'],
])

export const extensions: readonly string[] = [...formats.keys()]

/**
 * Finds the files of the known formats at and below the paths, in a fixed order. In folders, those whose name begins with a dot and node_modules
 * are left out, unless given themselves. Links are followed; a folder is read once, however many links lead to it. Never throws for what lies there.
 */
export async function listFiles(paths: readonly string[]): Promise<Listing> {
  const files: ListedFile[] = []
  const folders: string[] = []
  const problems: Problem[] = []
  for (const given of new Set(paths.map((path) => resolve(path)))) {
    const found = await stat(given).catch(() => null)
    if (found === null) problems.push({ path: given, reason: 'there is no such file or folder; check the path' })
    else if (found.isDirectory()) {
      const inside = await listFolder(given)
      files.push(...inside.files)
      problems.push(...inside.problems)
      if (inside.problems.length === 0) folders.push(given)
    } else {
      const format = formatOf(given)
      if (format === undefined || !found.isFile())
        problems.push({
          path: given,
          reason: `is not a file that can be read; give ${extensions.join(', ')} or a folder`,
        })
      else files.push({ path: given, id: basename(given), folder: null, bytes: found.size, format })
    }
  }
  const distinct = withoutSharedIds(files, problems)
  return { files: distinct, folders, problems, bytes: distinct.reduce((sum, { bytes }) => sum + bytes, 0) }
}

interface Pending {
  readonly path: string
  readonly id: string
}

async function listFolder(folder: string): Promise<{ files: ListedFile[]; problems: Problem[] }> {
  const files: ListedFile[] = []
  const problems: Problem[] = []
  const seen = new Set<string>()
  const folders: Pending[] = [{ path: folder, id: basename(folder) }]
  // Last, so that a folder that is also linked to is known by its own place.
  const links: Pending[] = []
  for (let next = folders.pop(); next !== undefined; next = folders.pop() ?? links.shift()) {
    const { path, id } = next
    const real = await realpath(path).catch(() => path)
    if (seen.has(real)) continue
    seen.add(real)
    const entries = await readdir(path, { withFileTypes: true }).catch(() => null)
    if (entries === null) problems.push({ path, reason: 'the folder cannot be read; check its permissions' })
    for (const entry of (entries ?? []).sort(byName)) {
      const child = { path: join(path, entry.name), id: `${id}/${entry.name}` }
      const format = formatOf(entry.name)
      if (entry.isDirectory()) {
        if (!isLeftOut(entry.name)) folders.push(child)
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        const found = await stat(child.path).catch(() => null)
        if (found?.isDirectory()) {
          if (!isLeftOut(entry.name)) links.push(child)
        } else if (format !== undefined && found?.isFile()) files.push({ ...child, folder, bytes: found.size, format })
        else if (format !== undefined && found === null)
          problems.push({
            path: child.path,
            reason: 'the file cannot be found (a broken link, or a name that is not UTF-8); mend or remove it',
          })
      }
    }
  }
  return { files: files.sort((a, b) => (a.id < b.id ? -1 : 1)), problems }
}

/** The first file of each id: a document cannot be two files. */
function withoutSharedIds(files: readonly ListedFile[], problems: Problem[]): ListedFile[] {
  const first = new Map<string, ListedFile>()
  for (const file of files) {
    const other = first.get(file.id)
    if (other === undefined) first.set(file.id, file)
    else if (other.path !== file.path)
      problems.push({
        path: file.path,
        reason: `would be the document ${JSON.stringify(file.id)}, as ${other.path} is; give the folder above both, or rename one`,
      })
  }
  return [...first.values()]
}

const isLeftOut = (name: string): boolean => name.startsWith('.') || name === 'node_modules'

const byName = (a: Dirent, b: Dirent): number => (a.name < b.name ? -1 : 1)

const formatOf = (path: string): Format | undefined => formats.get(extname(path).toLowerCase())
