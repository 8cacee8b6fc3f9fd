import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { z } from 'zod'

/**
 * What was published from one root, by document id: so that a second run sends only what is new or changed, and deletes what
 * is gone. It says what was sent from here; losing it costs a repetition that changes nothing.
 */
export interface Ledger {
  readonly hashes: ReadonlyMap<string, string>
  /** The file was there and could not be read; everything counts as new. */
  readonly damaged: boolean
  published(id: string, hash: string): void
  deleted(id: string): void
  /** Writes it, whole or not at all. */
  save(): void
}

const shape = z.object({ root: z.string(), documents: z.record(z.string(), z.string()) })

export function openLedger(dataDir: string, root: string): Ledger {
  const path = join(dataDir, 'ingested', `${createHash('sha256').update(root).digest('hex').slice(0, 16)}.json`)
  const { hashes, damaged } = load(path)
  return {
    hashes,
    damaged,
    published: (id, hash) => hashes.set(id, hash),
    deleted: (id) => hashes.delete(id),
    save() {
      mkdirSync(dirname(path), { recursive: true })
      writeFileSync(`${path}.new`, JSON.stringify({ root, documents: Object.fromEntries(hashes) }))
      renameSync(`${path}.new`, path)
    },
  }
}

function load(path: string): { hashes: Map<string, string>; damaged: boolean } {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    return { hashes: new Map(), damaged: false }
  }
  try {
    return { hashes: new Map(Object.entries(shape.parse(JSON.parse(text)).documents)), damaged: false }
  } catch {
    return { hashes: new Map(), damaged: true }
  }
}

/** Ids that the ledger knows and the root does not hold any more. */
export function goneFrom(ledger: Pick<Ledger, 'hashes'>, present: ReadonlySet<string>): string[] {
  return [...ledger.hashes.keys()].filter((id) => !present.has(id))
}
