import { stat } from 'node:fs/promises'
import type { Found, Origin } from '../origin.ts'
import type { Columns } from './columns.ts'
import type { Ledger } from './ledger.ts'
import { type ListedFile, listFiles, type Problem } from './list.ts'
import { readDocuments } from './read.ts'

/** How the files were that were read, by path: what is the same needs no second look. */
export type SeenFiles = Map<string, string>

export interface FileOrigins {
  readonly origins: readonly Origin[]
  readonly problems: readonly Problem[]
  readonly bytes: number
}

export interface FileOptions {
  /** Of tables. */
  readonly columns?: Columns | undefined
  readonly seen?: SeenFiles
  readonly now?: () => number
}

/** One origin for each folder that was given and for each file that was given by itself. */
export async function fileOrigins(
  paths: readonly string[],
  ledgerOf: (root: string) => Ledger,
  { columns, seen, now = Date.now }: FileOptions,
): Promise<FileOrigins> {
  const listing = await listFiles(paths)
  const roots = new Map<string, ListedFile[]>(listing.folders.map((folder) => [folder, []]))
  for (const file of listing.files) {
    const root = file.folder ?? file.path
    const files = roots.get(root)
    if (files === undefined) roots.set(root, [file])
    else files.push(file)
  }
  const origins = [...roots].map(([root, files]): Origin => {
    const isTable = files[0]?.folder === null && files[0].format === 'csv'
    return {
      ledger: ledgerOf(root),
      found: () => foundIn(files, { columns, seen, now }),
      isWhole: isTable || listing.folders.includes(root),
      failed: (path) => seen?.delete(path),
    }
  })
  return { origins, problems: listing.problems, bytes: listing.bytes }
}

async function* foundIn(
  files: readonly ListedFile[],
  {
    columns,
    seen,
    now,
  }: Required<Pick<FileOptions, 'now'>> & { columns: Columns | undefined; seen: SeenFiles | undefined },
): AsyncGenerator<Found> {
  for (const file of files) {
    // A table among other files that nobody has said the columns of is no fault; what an earlier run published from it stays.
    const isLeftOut = file.format === 'csv' && file.folder !== null && columns === undefined
    const print = seen && (await fingerprint(file.path, now()))
    if (isLeftOut || (print && seen?.get(file.path) === print)) {
      yield { keeps: file.id }
      continue
    }
    for await (const each of readDocuments(file, columns)) {
      // What cannot be read now is not gone.
      if ('reason' in each) yield { problem: each, keeps: file.id }
      else yield { ...each, path: file.path }
    }
    if (print) seen?.set(file.path, print)
  }
}

/** Of what tells that a file was written; null: it was written so lately that a second time might look the same. */
async function fingerprint(path: string, now: number): Promise<string | null> {
  const found = await stat(path, { bigint: true }).catch(() => null)
  if (found === null) return null
  const { size, ino, mtimeNs, ctimeNs } = found
  const changedMs = Number((mtimeNs > ctimeNs ? mtimeNs : ctimeNs) / 1_000_000n)
  return now - changedMs < CLOCK_GRAIN_MS ? null : `${size}/${ino}/${mtimeNs}/${ctimeNs}`
}

/** File systems count times in steps; the coarsest that is in use, FAT's, has two seconds. */
const CLOCK_GRAIN_MS = 2_500
