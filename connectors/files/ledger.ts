import { createHash } from 'node:crypto'
import { appendFileSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

/**
 * What was published from one root, by document id: so that a second run sends only what is new or changed, and deletes what
 * is gone. It says what was sent from here; losing it costs a repetition that changes nothing.
 */
export interface Ledger {
  readonly hashes: ReadonlyMap<string, string>
  /** The file was there and could not be read; everything counts as new, and nothing as gone. */
  readonly damaged: boolean
  published(id: string, hash: string): void
  /** It is not known whether that was written, a hash, or null for a deletion: the next run publishes or deletes it again, whatever the file holds then. */
  doubted(id: string, hash: string | null): void
  deleted(id: string): void
  /** What the source said of itself when all of it was published, like an ETag; null: nothing that is known. */
  readonly state: unknown
  /** Saved only behind the documents that it stands for: a run that is killed asks for them again. */
  setState(state: unknown): void
  /** Writes what is new since the last time. A crash loses at most that. */
  save(): void
}

const header = z.object({ root: z.string() })
const entry = z.union([z.tuple([z.string(), z.string().nullable()]), z.object({ state: z.unknown() })])

/**
 * The ledger of a root: a file of JSON lines under `ingested` in the data folder, the root first, then [id, hash], or [id, null] for one that is gone,
 * or {"state"}; the last line of an id, and the last state, counts. Saving appends, since a folder may hold many documents and is saved before and after each batch; it is written
 * anew, whole or not at all, when most of its lines are out of date. Throws if it cannot be written.
 */
export function openLedger(dataDir: string, root: string): Ledger {
  const path = ledgerPath(dataDir, root)
  const loaded = load(path, root)
  const { hashes } = loaded
  let { state } = loaded
  let unsaved: string[] = []
  let lines = loaded.lines ?? Number.POSITIVE_INFINITY
  const note = (id: string, hash: string | null) => unsaved.push(`${JSON.stringify([id, hash])}\n`)
  const published = (id: string, hash: string): void => {
    hashes.set(id, hash)
    note(id, hash)
  }
  return {
    hashes,
    damaged: loaded.damaged,
    published,
    doubted: (id, hash) => published(id, `${IN_DOUBT}${hash ?? hashes.get(id) ?? ''}`),
    deleted(id) {
      if (hashes.delete(id)) note(id, null)
    },
    get state() {
      return state
    },
    setState(next) {
      state = next
      unsaved.push(`${JSON.stringify({ state })}\n`)
    },
    save() {
      if (unsaved.length === 0) return
      lines += unsaved.length
      if (lines <= 2 * hashes.size + LINES_MORE) appendFileSync(path, unsaved.join(''))
      else {
        writeWhole(path, root, hashes, state)
        lines = hashes.size + 2
      }
      unsaved = []
    },
  }
}

export const ledgerPath = (dataDir: string, root: string): string =>
  join(dataDir, 'ingested', `${createHash('sha256').update(root).digest('hex').slice(0, 16)}.jsonl`)

/** Beside twice the documents: a small ledger is not written anew all the time. */
const LINES_MORE = 100

/** Before a hash: then it is that of no document, and still says the file that it is from. */
const IN_DOUBT = '?'

function writeWhole(path: string, root: string, hashes: ReadonlyMap<string, string>, state: unknown): void {
  mkdirSync(dirname(path), { recursive: true })
  const lines = [{ root }, ...hashes, ...(state === null ? [] : [{ state }])].map((line) => `${JSON.stringify(line)}\n`)
  writeFileSync(`${path}.new`, lines.join(''))
  renameSync(`${path}.new`, path)
}

interface Loaded {
  readonly hashes: Map<string, string>
  readonly state: unknown
  readonly damaged: boolean
  /** null: to be written anew. */
  readonly lines: number | null
}

function load(path: string, root: string): Loaded {
  const hashes = new Map<string, string>()
  let state: unknown = null
  try {
    // What follows the last line break is what a crash left of a line.
    const lines = readFileSync(path, 'utf8').split('\n')
    const torn = lines.pop() !== ''
    if (header.parse(JSON.parse(lines[0] ?? '')).root !== root) throw new Error('the ledger of another root')
    for (const line of lines.slice(1)) {
      const parsed = entry.parse(JSON.parse(line))
      if (!Array.isArray(parsed)) {
        state = parsed.state ?? null
        continue
      }
      const [id, hash] = parsed
      if (hash === null) hashes.delete(id)
      else hashes.set(id, hash)
    }
    return { hashes, state, damaged: false, lines: torn ? null : lines.length }
  } catch (error) {
    return { hashes: new Map(), state: null, damaged: (error as NodeJS.ErrnoException).code !== 'ENOENT', lines: null }
  }
}

/**
 * Ids that the ledger knows and the root does not hold any more. `present` are the ids that were found, and the ids of files that could not be
 * read whole: what was published from these may still be there.
 */
export function goneFrom(ledger: Pick<Ledger, 'hashes'>, present: ReadonlySet<string>): string[] {
  return [...ledger.hashes].filter(([id, hash]) => !present.has(id) && !present.has(fileOf(hash))).map(([id]) => id)
}

/** The file that a document comes from, where its id is not the file's own (`FileDocument.hash`). */
function fileOf(hash: string): string {
  const space = hash.indexOf(' ')
  return space < 0 ? '' : hash.slice(space + 1)
}
